"""Which releases a source and a target run, and what that means for the source's contents."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicator.model.druid.known_since import FOLDERS_SINCE, LZ4_SINCE, RANGEABLE, Trait, traits
from replicator.model.druid.release import Release, release_of
from replicator.model.druid.skew import Skewed, skewed
from replicator.model.row import TABLES, Kind, Segment, key_of
from replicator.ports import SourceReader
from replicator.ports.druid import TellsRelease
from replicator.services.standby.promoter import rows_of

SMALL = (Kind.RULES, Kind.SUPERVISOR, Kind.CONFIG)
"""Tables that are read completely; for segments one of each kind is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """A target's Druid compared with a source."""

    source: Release | None
    """Druid release of the source; None: unknown."""
    target: Release | None
    """Release for which the target's rows are written; None: unknown, so rows are replicated
    unchanged."""
    found: tuple[Skewed, ...] = ()
    has_folders: bool = False
    """Whether the source has segments that its Druid reads in parts."""

    @property
    def is_older(self) -> bool:
        """Whether the target is known to be older than the source."""
        return self.source is not None and self.target is not None and self.target < self.source

    @property
    def losses(self) -> Sequence[Skewed]:
        """Findings that an operator must deal with."""
        return [one for one in self.found if one.loses]


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderNote:
    """A note on folders of unpacked segments."""

    good: bool
    text: str
    hint: str = ""


def lz4_notes(*, lz4: bool, release: Release | None) -> Sequence[FolderNote]:
    """Return what a target's release means for its setting `lz4` of a deep storage in HDFS."""
    if not lz4 or release is None or release >= LZ4_SINCE:
        return ()
    return (
        FolderNote(
            good=False,
            text=f"lz4 is true, and index.lz4 is read by Druid {LZ4_SINCE.text} and later",
            hint="set it to false before the first bytes are there: they become zips",
        ),
    )


def folder_notes(
    storage: str, *, unpacked: bool, release: Release | None, has_folders: bool
) -> Sequence[FolderNote]:
    """Return what a target's release and its setting `unpacked` mean for folders.

    Args:
        storage: Type of the target's deep storage.
        unpacked: The setting.
        release: Release of the target's Druid; None: unknown.
        has_folders: Whether the source has segments that are read in parts.
    """
    if storage not in FOLDERS_SINCE or release is None:
        return ()
    since = FOLDERS_SINCE[storage]
    reads = since is not None and release >= since
    if unpacked and not reads:
        which = "no release yet" if since is None else f"release {since.text} on"
        return (
            FolderNote(
                good=False,
                text=f"unpacked is true, and folders in {storage} are read by {which}",
                hint="set it to false before the first bytes are there",
            ),
        )
    if has_folders and reads and not unpacked:
        return (
            FolderNote(
                good=True,
                text="segments that the source's Druid reads in parts become zips, which are read"
                " whole",
                hint="set deep_storage.unpacked: true before the first bytes are there",
            ),
        )
    return ()


async def seen(source: SourceReader) -> dict[Trait, str]:
    """Return the traits that a Druid must know to read a source's rows, each with such a row.

    Raises:
        TransientError, ConfigError: the source cannot be read.
    """
    found: dict[Trait, str] = {}
    for id_, payload in await source.load_spec_samples():
        sample = Segment(
            id=id_,
            datasource="",
            created_date="",
            start="",
            end="",
            partitioned=True,
            version="",
            used=True,
            payload=payload,
        )
        found |= dict.fromkeys(traits(sample), f"segment {id_}")
    for kind in SMALL:
        for row in await rows_of(source, kind):
            found |= dict.fromkeys(traits(row), f"{TABLES[kind].name} of {key_of(row).key}")
    return found


async def skew_of(
    source: SourceReader, target: Release | None, *, source_druid: TellsRelease | None
) -> Skew:
    """Compare a source's rows with a target's release.

    Raises:
        TransientError, ConfigError: the source's metadata or its Druid cannot be queried.
    """
    if target is None:
        return Skew(source=None, target=None)
    release = None if source_druid is None else release_of(await source_druid.release())
    found = await seen(source)
    return Skew(
        source=release,
        target=target,
        found=skewed(found, target),
        has_folders=RANGEABLE in found,
    )
