"""Heads: how far a signed store's history reached, remembered outside of the store.

Signatures prove who wrote a file, but not that it is the newest: all files of
an earlier day, put back together, have valid signatures. A head is remembered by a witness, which
is another target's store or a folder, and signed with the keys of the store that it describes:

    heads/<target>/<log id>.json
"""

from dataclasses import dataclass
from typing import Annotated, Final

from replicator.model.document import NATURAL, Name, Shape, Time, time_text, written
from replicator.model.event import CutNumber, Offset

HEADS: Final = "heads"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest cut that a store could restore when the head was written."""

    target: Name
    log_id: Name
    offset: Annotated[Offset, NATURAL]
    cut: Annotated[CutNumber, NATURAL]
    source_time: Time
    """Time of the cut, by the source's clock."""

    def is_ahead_of(self, last: Offset | None) -> bool:
        """Return whether a store whose newest cut is at an offset has lost cuts; None: all."""
        return last is None or last < self.offset

    def lost(self, last: Offset | None) -> str:
        """Return the message about a store that has lost cuts."""
        ends = "has no cut of that log" if last is None else f"ends at offset {last}"
        return (
            f"the store of target {self.target!r} {ends}, and had cut {self.cut} (offset"
            f" {self.offset} of log {self.log_id}, {time_text(self.source_time)}): it was put back"
            " to an earlier state, or its newest files were removed or altered"
        )

    @property
    def words(self) -> str:
        """The cut in messages."""
        return f"cut {self.cut} (offset {self.offset}, {time_text(self.source_time)})"


_HEAD = Shape(
    Head,
    "if the store is as it should be (`replicator verify TARGET --level checksum`), remove"
    " the file: the"
    " next `apply` writes it again",
)


def heads_of(target: str) -> str:
    """Return the prefix of the names of a target's heads."""
    return f"{HEADS}/{target}/"


def head_name(target: str, log_id: str) -> str:
    """Return the name of the head of one log in a target's store."""
    return f"{heads_of(target)}{log_id}.json"


def head_json(head: Head) -> bytes:
    """Return a head as a document."""
    return written(
        {
            "target": head.target,
            "log_id": head.log_id,
            "offset": head.offset,
            "cut": head.cut,
            "source_time": time_text(head.source_time),
        }
    )


def head_of(name: str, data: bytes) -> Head:
    """Return the head in a file.

    Raises:
        CorruptionError: it cannot be read, or belongs to another store.
    """
    head = _HEAD.read(name, data)
    if head_name(head.target, head.log_id) != name:
        raise _HEAD.unreadable(name, f"it is that of {head.target!r} and log {head.log_id!r}")
    return head
