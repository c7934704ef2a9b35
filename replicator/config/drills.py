"""What can be set about drills: where they are, and how often each target is drilled."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from replicator.config.values import AbsolutePath, Duration, Part, Size


class DrillSettings(Part):
    """Where drills restore to: an embedded PostgreSQL and a folder, gone when the drill ends."""

    folder: AbsolutePath = Path("/var/tmp/druid-replicator-drills")  # noqa: S108 - refused when it is not ours alone
    """A folder of this user's alone, on a disk with room for the largest target that is drilled."""
    bytes_max: Annotated[Size, Field(ge=1 << 28)] = 100 << 30
    """What one drill may take of that disk.

    The plan's estimate is held against it beforehand: bytes unpacked, some 4 KiB a row, and 128 MiB
    for the database.
    """
    druid_release: Annotated[str, Field(pattern=r"^\d+(\.\d+){0,2}$")] = "37"
    """Whose tables are made; the newest known has all columns that older ones have."""
    centralized_schema: bool = True
    """Whether with the tables of `druid.centralizedDatasourceSchema.enabled`."""
    start_timeout_s: Annotated[int, Field(ge=1, le=3600)] = 60
    """Longest wait for the embedded PostgreSQL to start, in seconds."""


class TargetDrillSettings(Part):
    """The drills of one target's store."""

    every: Duration | None = None
    """Time between two good drills, by `run` and `apply`; default: only `replicator drill` does."""
    again_after: Duration = timedelta(days=1)
    """Time after which a drill that went wrong is tried again."""
    any_cut: bool = True
    """Whether a cut is drawn by chance, so that in time all history is tried; else the newest."""
    promise: Duration | None = None
    """The promise that the last good drill is no older; default: none was made."""
