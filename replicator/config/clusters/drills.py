"""Settings of drills: where they run, and how old the last good one may be."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from replicator.config.values import AbsolutePath, AsTuple, Duration, Section, Size


class ScratchDruidSettings(Section):
    """The Druid that a drill starts over what it restored, to load and read all of it."""

    home: AbsolutePath
    """Folder that Druid's download was unpacked to, of the release that the real cluster runs."""
    java: Annotated[str, Field(min_length=1)] = "java"
    """The Java to run it with: a name on the path, or a path."""
    extensions: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AsTuple] = ()
    """Extensions that the segments need, like `druid-datasketches`."""
    properties: Annotated[tuple[Annotated[str, Field(pattern=r"^[^=\s]+=.*$")], ...], AsTuple] = ()
    """Runtime properties of the real cluster that decide how segments are read, like `name=value`.

    What says where a Druid's metadata, segments and ports are is not taken from here.
    """
    heap_bytes_max: Annotated[Size, Field(ge=128 << 20)] = 1 << 30
    """Heap of each of its three servers; each takes 256 MiB beside it, and ZooKeeper 128 MiB."""
    start_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 180
    """Longest wait for all of them to be healthy, in seconds."""
    stall_timeout: Duration = timedelta(minutes=10)
    """Time without another segment loaded after which the rest are reported as findings."""


class DrillSettings(Section):
    """Where drills restore to: an embedded PostgreSQL and a folder, gone when the drill ends."""

    folder: AbsolutePath = Path("/var/tmp/druid-replicator-drills")  # noqa: S108 - refused when it is not ours alone
    """A folder of this user's alone, on a disk with room for the largest target that is drilled."""
    bytes_max: Annotated[Size, Field(ge=1 << 28)] = 100 << 30
    """What one drill may take of that disk.

    The plan's estimate is held against it beforehand: bytes unpacked, some 4 KiB a row, and 128 MiB
    for the database; with `druid` the bytes once more, as a Historical unpacks what it loads.
    """
    druid_release: Annotated[str, Field(pattern=r"^\d+(\.\d+){0,2}$")] = "37"
    """Release whose tables are created; the newest known one has all columns of older ones."""
    centralized_schema: bool = True
    """Whether with the tables of `druid.centralizedDatasourceSchema.enabled`."""
    start_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """Longest wait for the embedded PostgreSQL to start, in seconds."""
    druid: ScratchDruidSettings | None = None
    """Druid that reads what is restored; default: only rows and bytes are compared."""


class TargetDrillSettings(Section):
    """The drills of one target's store."""

    promise: Duration | None = None
    """The promise that the last good drill is no older; default: none was made. See `schedules`."""
