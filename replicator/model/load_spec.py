"""From a load spec to a place in a deep storage, and back.

A load spec, not a segment's id, names bytes: several rows can share one (concurrent append and
replace), tombstones have none. Places are relative to the storage's root, so that the same layout
can be kept in another storage, one segment a directory: Druid's killer for local storage deletes
the directory above the object (LocalDataSegmentKiller).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NewType, Protocol

from replicator.errors import MalformedRowError

Location = NewType("Location", str)
"""A key relative to a deep storage's root; a trailing slash means all objects below it."""

TOMBSTONE = "tombstone"
_ODD_NAMES = frozenset({"", ".", ".."})


class Layout(Protocol):
    """How one deep storage writes its load specs."""

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the place that the load spec names, None for a tombstone.

        Raises:
            MalformedRowError: another type of storage, a missing field, or outside the root.
        """
        ...

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec that names this place."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLayout:
    """`{"type": "local", "path": <absolute path>}`: a directory since 26.0.0, before that a zip.

    `root` is the storage directory as Druid sees it (`druid.storage.storageDirectory`).
    """

    root: str

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the path below the root, its trailing slash kept."""
        type_ = load_spec.get("type")
        if type_ == TOMBSTONE:
            return None
        if type_ != "local":
            raise MalformedRowError(f"its load spec has type {type_!r}, this storage reads 'local'")
        path = load_spec.get("path")
        if not isinstance(path, str) or not path:
            raise MalformedRowError("its load spec has no path")
        return self._relative(path)

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a place, as Druid's LocalDataSegmentPusher writes it."""
        return {"type": "local", "path": f"{self.root.rstrip('/')}/{location}"}

    def _relative(self, path: str) -> Location:
        prefix = self.root.rstrip("/") + "/"
        absolute = path.removeprefix("file:")
        relative = absolute.removeprefix(prefix)
        if relative == absolute or not _is_plain(relative):
            raise MalformedRowError(
                f"its load spec names {path!r}, which is not a place below the deep storage's root"
                f" {prefix}"
            )
        return Location(relative)


def _is_plain(relative: str) -> bool:
    """Return whether a path stays where it seems to be, on any file system."""
    names = relative.removesuffix("/").split("/")
    return _ODD_NAMES.isdisjoint(names) and relative.isprintable()
