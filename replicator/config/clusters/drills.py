"""Settings of drills: where they run, and how old the last good one may be."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from replicator.config.values import AbsolutePath, AsTuple, Duration, Section, Size


class ScratchDruidSettings(Section):
    """The Druid that a drill starts over what it restored, to load and read all of it."""

    home: AbsolutePath
    """Folder with an unpacked Druid download, of the release that the real cluster runs."""
    java: Annotated[str, Field(min_length=1)] = "java"
    """Java command that runs it: a name on the path, or a path."""
    extensions: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], AsTuple] = ()
    """Extensions that the segments need, like `druid-datasketches`."""
    properties: Annotated[tuple[Annotated[str, Field(pattern=r"^[^=\s]+=.*$")], ...], AsTuple] = ()
    """Runtime properties of the real cluster that decide how segments are read, like `name=value`.

    Properties with the locations of metadata, segments and ports are ignored.
    """
    heap_bytes_max: Annotated[Size, Field(ge=128 << 20)] = 1 << 30
    """Heap of each of its three servers; each needs 256 MiB more, and ZooKeeper 128 MiB."""
    start_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 180
    """Longest wait for all of them to be healthy, in seconds."""
    stall_timeout: Duration = timedelta(minutes=10)
    """Time without another segment loaded after which the rest are reported as findings."""


class DrillSettings(Section):
    """Scratch place of drills: an embedded PostgreSQL and a folder, removed after each drill."""

    folder: AbsolutePath = Path("/var/tmp/druid-replicator-drills")  # noqa: S108 - refused when it is not ours alone
    """Folder that only this user can open, on a disk with room for the largest drilled target."""
    bytes_max: Annotated[Size, Field(ge=1 << 28)] = 100 << 30
    """Space on that disk for one drill.

    The plan's estimate is compared with it beforehand: unpacked bytes, some 4 KiB for each row, and
    128 MiB for the database; with `druid` the bytes twice, as a Historical unpacks what it loads.
    """
    druid_release: Annotated[str, Field(pattern=r"^\d+(\.\d+){0,2}$")] = "37"
    """Release whose tables are created; the newest one has all columns of older ones."""
    centralized_schema: bool = True
    """Whether the tables of `druid.centralizedDatasourceSchema.enabled` are created, too."""
    start_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """Longest wait for the embedded PostgreSQL to start, in seconds."""
    druid: ScratchDruidSettings | None = None
    """Druid that loads and reads the restored segments; default: rows and bytes are compared."""


class TargetDrillSettings(Section):
    """The drills of one target's store."""

    promise: Duration | None = None
    """The promised maximum age of the last good drill; default: no promise. See `schedules`."""
