"""A source that reports each of its commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from replicator.ports.obstacle import Obstacle

if TYPE_CHECKING:
    from replicator.model.stream import Lsn, RowChange, SourceCommit, StreamPosition


class CommitVisitor(Protocol):
    """Takes commits one after the other, in the order in which they happened."""

    async def begin(self, commit: SourceCommit) -> None:
        """Take the start of a commit that the log does not have."""
        ...

    async def change(self, changes: Sequence[RowChange]) -> None:
        """Take the next changes of the commit, a bounded number, in their order."""
        ...

    async def end(self, at: Lsn) -> None:
        """Take the end of the commit; everything before this position has been reported."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRead:
    """How far a read got."""

    until: Lsn
    """Position before which everything committed has been reported."""
    at: datetime
    """Time by the source's clock, UTC, before which all commits are reported if `is_whole`."""
    is_whole: bool
    """Whether nothing was left at the time of the request."""
    behind_bytes: int
    """Size of the source's write-ahead log that is not reported yet; 0 if whole."""
    messages: int
    """Number of messages that the source sent."""
    retained_bytes: int
    """Size of the write-ahead log that the source keeps for this stream."""


class ChangeStream(Protocol):
    """The commits of a source, kept by the source until they are confirmed.

    Reading changes nothing: unconfirmed commits are reported again.
    """

    async def read(
        self, since: StreamPosition, visitor: CommitVisitor, *, until: Lsn | None = None
    ) -> StreamRead:
        """Report the commits that a log at `since` does not have, a bounded number of them.

        With `until`, commits after that position are not reported.

        No table is rewritten, emptied or altered meanwhile. Commits that touch no replicated table
        are left out.

        Raises:
            BrokenStreamError: the stream does not continue the log: the slot is gone or was moved,
                the server or a table is another one, a table was emptied, or a deleted row cannot
                be named. Errors of the visitor pass through.
            TransientError: the source is unreachable; the same call repeats everything.
        """
        ...

    async def confirm(self, at: Lsn) -> None:
        """Let the source forget everything before a place; the log must have it durably.

        Raises:
            TransientError: as for `read`.
        """
        ...

    async def retained_bytes(self) -> int | None:
        """Return the size of the log that the source keeps for this stream; None: it keeps none.

        Raises:
            TransientError, ConfigError: as for a snapshot.
        """
        ...

    async def drop(self) -> bool:
        """Let the source forget the stream; return whether there was one."""
        ...

    async def close(self) -> None:
        """Close the connection; the next call opens another one."""
        ...


class NewChangeStream(ChangeStream, Protocol):
    """A change stream before it is used."""

    async def create(self) -> bool:
        """Make the source keep its commits from now on; return whether it did not already.

        Raises:
            ConfigError: something is missing for it; the hint has the SQL.
        """
        ...

    async def obstacles(self) -> Sequence[Obstacle]:
        """Return what is missing for the stream, each with the SQL that provides it.

        Raises:
            TransientError, ConfigError: as for a snapshot.
        """
        ...

    async def advice(self) -> Sequence[str]:
        """Return what is not missing, and would be better."""
        ...
