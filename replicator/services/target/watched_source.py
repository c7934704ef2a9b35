"""A copy source that sees its bytes pass: whether they came here, and whether a zip has an end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from replicator.errors import UnreadableObjectError
from replicator.ports import CopySource, Piece, StoredObject
from replicator.services.target.zip_directory import TAIL_BYTES, fault_in_tail


@dataclass(slots=True)
class _ZipEnd:
    """The last bytes of an object, in whatever order its ranges pass."""

    start: int
    data: bytearray
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def take(self, at: int, piece: Piece) -> None:
        begin, end = max(at, self.start), at + len(piece)
        if begin < end:
            self.data[begin - self.start : end - self.start] = piece[begin - at :]
            self.ranges.append((begin, end))

    @property
    def is_whole(self) -> bool:
        reached = self.start
        for begin, end in sorted(self.ranges):
            if begin > reached:
                return False
            reached = max(reached, end)
        return reached == self.start + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSource(CopySource):
    """A copy source whose bytes are looked at while they pass through this process.

    A storage that copies by itself reads none here, and nothing is looked at.
    """

    is_zip: bool
    """Whether it is one zip, which must have a directory that can be read."""
    _reads: list[StoredObject] = field(default_factory=list)
    _tails: dict[str, _ZipEnd] = field(default_factory=dict)

    @property
    def was_read(self) -> bool:
        """Whether any byte was read."""
        return bool(self._reads)

    def read(
        self, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield bytes as `CopySource.read` does.

        Raises:
            UnreadableObjectError: with the last byte that was lacking of a zip's end, which is
                none.
        """
        self._reads.append(stored)
        pieces = CopySource.read(self, stored, start=start, end=end)
        return self._looked_at(stored, start, pieces) if self.is_zip else pieces

    async def _looked_at(
        self, stored: StoredObject, at: int, pieces: AsyncIterator[Piece]
    ) -> AsyncIterator[Piece]:
        begin = max(0, stored.size_bytes - TAIL_BYTES)
        tail = self._tails.setdefault(
            stored.name, _ZipEnd(begin, bytearray(stored.size_bytes - begin))
        )
        async for piece in pieces:
            tail.take(at, piece)
            at += len(piece)
            yield piece
        if tail.is_whole and (fault := fault_in_tail(bytes(tail.data), begin)) is not None:
            raise UnreadableObjectError(
                f"{self.location} is no whole zip: {fault}",
                hint="no Druid can load it: put the segment there again, from a backup or by"
                " ingestion",
            )
