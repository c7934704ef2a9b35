"""Writes a target's own history beside its bytes, so that a restore needs nothing else."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np

from replicator.errors import (
    CorruptionError,
    GapError,
    LogCutShortError,
    NotFoundError,
    TransientError,
)
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.inventory.ledger import Offsets
from replicator.model.load_spec import SourceLayout
from replicator.model.log.reading import Recorded
from replicator.model.log.wire import CUT_CLOSED
from replicator.model.observation import BaseWritten, Observer, Progress
from replicator.model.observed.faults import ArchiveDamaged
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.archive import (
    BASES,
    HISTORY,
    Base,
    BasePart,
    FileKind,
    Header,
    base_folder,
    history_name,
    manifest,
    manifest_name,
    pack,
    part_name,
    record_line,
)
from replicator.model.store.archive_notes import (
    About,
    RowForm,
    about_json,
    about_name,
    about_of,
    gaps_json,
    gaps_name,
)
from replicator.ports import require_readable_list
from replicator.services.history.closed_cuts import closed_cut
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.records.store_id import made_store_id, remembered, store_id
from replicator.services.store.archived_log import ArchivedLog, Hole, about_fault, archived_gaps
from replicator.services.store.store import Store
from replicator.services.store.witness import HeadKeeper

MANY_GAPS_HINT: Final = (
    "find out why so many rows have gaps, and mend that: `replicator points` lists them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """How history is split into files, and how often a base is written."""

    file_bytes_max: int
    """Number of bytes of a file's lines before compression; a single event may be larger."""
    base_interval: timedelta
    """Time between two bases, by the source's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What was lost of a history and is there again, and what is not."""

    about: bool
    """Whether what the history is about was written again."""
    store_id: bool
    """Whether the store's id was written again."""
    files: tuple[str, ...]
    """Names of the files of history that were written again."""
    bases: tuple[Offset, ...]
    """Cuts whose bases were written."""
    left: tuple[str, ...]
    """Messages for what is still damaged."""

    @property
    def did_something(self) -> bool:
        """Whether anything was written."""
        return self.about or self.store_id or bool(self.bases or self.files)


class Archivist:
    """Writes history up to a cut before the target may be at the cut, and bases at intervals.

    Files are never changed. Several archivists of one target do no harm: each of them writes the
    same records of the log.

    Args:
        source: Name of the source cluster.
        store: The target's files.
        source_layout: How the source's storages write load specs.
        rows: How the target's rows are written.
        history: The log; it may start from other targets' bases.
        limits: Sizes and intervals.
        observer: Receives written bases and damage.
        heads: Remembers elsewhere how far the history reached; None: there is no witness.
    """

    def __init__(
        self,
        *,
        source: str,
        store: Store,
        source_layout: SourceLayout,
        rows: RowForm,
        history: History,
        limits: ArchiveLimits,
        observer: Observer,
        heads: HeadKeeper | None = None,
    ) -> None:
        self._source, self._history, self._heads = source, history, heads
        self._store, self._area = store, store.area
        self._source_layout, self._rows = source_layout, rows
        self._limits, self._observer = limits, observer
        self._tail: tuple[Offset, str | None] | None = None
        self._archive: ArchivedLog | None = None
        self._gaps: frozenset[Gap] | None = None
        self._about_written = False
        self._unwritten: About | None = None

    @property
    def has_outdated_rows(self) -> bool:
        """Whether the target's rows name another place of the store, or were mapped otherwise."""
        return self._unwritten is not None

    async def rewrote(self) -> None:
        """Record where the store is and how rows are mapped, once the target's rows say so."""
        if (about := self._unwritten) is not None:
            await self._area.replace(about_name(about.log_id), about_json(about))
            self._unwritten = None

    def forget(self) -> None:
        """Read anew what the store holds: a step failed, and an operator may mend the store."""
        self._tail, self._archive, self._gaps, self._about_written = None, None, None, False
        self._unwritten = None
        self._store.forget()

    async def cover(self, cut: ClosedCut, gaps: Sequence[Gap], *, whole: bool) -> None:
        """Make sure that the cut can be restored from the store alone.

        `whole` says that the bytes of every cut up to this one were copied too. Otherwise, where a
        cut in between has changed anything, or if there is no history to continue, a base of the
        cut starts a new window.

        Raises:
            TransientError: store or log are unreachable; the same call continues where it stopped.
        """
        # First of all: without a word on what it is about, no restore can open a history.
        await self._say_what_about()
        # Before the records: a cut that could be restored while its gaps were unknown would pass as
        # whole.
        await self._keep_gaps(cut, gaps)
        tail = await self._reached()
        await self._compare_with_head(tail)
        if tail is None:
            await self.write_base(cut)
        elif tail[0] <= cut.offset:
            if whole or await self._is_next(tail[0], cut):
                await self._extend(tail, cut)
            else:
                await self.write_base(cut)
        if self._heads is not None:
            await self._heads.reached((await self._opened()).log_id, cut)

    async def settle(self, *, at_once: bool = False) -> None:
        """Let a witness remember the newest cut that is covered, if it is time, or `at_once`."""
        if self._heads is not None:
            await self._heads.settle(at_once=at_once)

    async def write_base(self, cut: ClosedCut, *, anew: bool = False) -> Base:
        """Write all rows of a cut as a base, unless the base exists and is whole by its names.

        `anew` says that its files are altered.

        Raises:
            GapError: the log was trimmed, and there is no base to start from.
            CorruptionError: the log does not add up to the cut; no base was written.
            TransientError: as for `cover`.
        """
        archive = await self._opened()
        if was_there := cut.offset in await archive.offsets():
            with suppress(CorruptionError):  # a base that lost a file is none
                if not anew:
                    return await archive.base(cut.offset)
        ledger = await fold(self._history, cut.offset, Recorded())
        # A base is what later restores start from, and would hide the log's damage from them.
        if ledger.digest != cut.closed.digest:
            raise CorruptionError(f"the log does not add up to cut {cut.closed.cut}")
        parts = await self._write_parts(archive.log_id, cut, np.sort(ledger.offsets))
        base = Base(
            source=self._source,
            log_id=archive.log_id,
            cut=cut,
            rows=len(ledger),
            parts=tuple(parts),
        )
        # An expiry that has listed the folder before counts the parts as those of a base that was
        # never finished.
        await self._require_parts(base)
        # The manifest last: parts without one are no base, so that a crash leaves nothing that
        # looks whole.
        name = manifest_name(archive.log_id, cut.offset)
        if was_there:  # its parts may have been others
            await self._area.replace(name, manifest(base))
            self._store.forget(name)
            self._archive = None
        else:
            await self._area.create(name, manifest(base))
        self._tail = None
        self._observer(BaseWritten(cut=cut.closed.cut, offset=cut.offset, rows=base.rows))
        return base

    async def base_before(self, offset: Offset) -> ClosedCut | None:
        """Return the newest cut with a base before an offset; None if there is none.

        Raises:
            CorruptionError: the base's manifest is altered.
        """
        archive = await self._opened()
        found = [one for one in await archive.offsets() if one < offset]
        return (await archive.base(found[-1])).cut if found else None

    async def base_is_due(self, checkpoint: Checkpoint) -> bool:
        """Return whether the newest base is older than the interval, or history has none.

        A base that lost a file does not count: nothing can be restored from it.
        """
        archive = await self._opened()
        for offset in reversed(await archive.offsets()):
            with suppress(CorruptionError):
                newest = (await archive.base(offset)).cut
                age = checkpoint.source_time - newest.closed.source_time
                return checkpoint.offset > offset and age >= self._limits.base_interval
        return archive.listed_end is not None

    async def mend(self, checkpoint: Checkpoint, *, target: str, deep: bool) -> Mended:
        """Write again what is lost of the history: what it is about, its files and its bases.

        If the target's cut cannot be restored then, a base of it begins a new window.

        Args:
            checkpoint: Where the target is.
            target: Name of the target, by which the log remembers its store.
            deep: Whether bases are read, and not only their names.

        Raises:
            TransientError: store or log are unreachable.
        """
        self.forget()
        if lacks_id := await store_id(self._area) is None:
            await made_store_id(self._area, before=await remembered(target, self._history))
        has_about_fault = await about_fault(self._area, checkpoint.log_id) is not None
        await self._say_what_about()
        files, unmended = await self._filled()
        written = list[Offset]()
        for offset in await (await self._opened()).unexpired():
            faults = await self._faults(offset, deep=deep)
            if faults and (why := await self._written_again(offset)):
                unmended.append(f"{faults[0]}, and cannot be written again: {why}")
            elif faults:
                written.append(offset)
        if not (checkpoint.paused or checkpoint.promoted):
            windows, _ = await (await self._opened()).windows()
            if not windows or windows[-1].end <= checkpoint.offset:
                if why := await self._written_again(checkpoint.offset):
                    unmended.append(f"there is no base of the target's cut: {why}")
                else:
                    written.append(checkpoint.offset)
        archive = await self._opened()
        left = await (archive.damages() if deep else archive.lost())
        return Mended(
            about=has_about_fault,
            store_id=lacks_id,
            files=tuple(files),
            bases=tuple(written),
            left=(*unmended, *left),
        )

    async def _filled(self) -> tuple[list[str], list[str]]:
        """Write the lost files again; return their names, and what cannot be restored any more."""
        files, unmended = list[str](), list[str]()
        for hole in await (await self._opened()).holes():
            try:
                files += await self._fill(hole)
            except (CorruptionError, GapError, NotFoundError) as exc:
                unmended.append(
                    f"the cuts from offset {hole.start} to {hole.until - 1} cannot be restored from"
                    f" this store any more: {exc}"
                )
        return files, unmended

    async def _fill(self, hole: Hole) -> Sequence[str]:
        """Write the files of a hole as they were: the file after it names the last by its checksum.

        If that names none, none was there.

        An applier begins a file with each cut, or writes many cuts at once in files of full size.

        Raises:
            CorruptionError: they were split in another way, or a file beside them is altered.
            GapError: the log does not have these records any more.
        """
        archive = await self._opened()
        begins, ends = await archive.edges(hole)
        if ends is None:
            return ()
        for each_cut in (False, True):
            lost = self._lost(hole, begins, each_cut=each_cut)
            found = [(name, sha256) async for name, _, sha256 in lost]
            # The checksum in the file after the hole proves that the files are the same to the last
            # byte; other bytes under their names would break the chain for good.
            if found[-1][1] == ends:
                async for name, data, _ in self._lost(hole, begins, each_cut=each_cut):
                    await self._area.create(name, data)
                self._archive = self._tail = None
                return [name for name, _ in found]
        raise CorruptionError(
            "the log has other records than were lost there, or they were in other files"
        )

    async def _lost(
        self, hole: Hole, previous: str | None, *, each_cut: bool
    ) -> AsyncIterator[tuple[str, bytes, str]]:
        """Yield the files of a hole as they would be written: name, bytes and checksum."""
        log_id = (await self._opened()).log_id
        start, lines, size, last = hole.start, list[bytes](), 0, None
        async for record in self._records(hole.start, hole.until):
            lines.append(record_line(record))
            size += len(lines[-1])
            end = Offset(record.offset + 1)
            is_cut = record.type == CUT_CLOSED
            if is_cut:
                last = closed_cut(record)
            is_full = size >= self._limits.file_bytes_max
            if is_full or end == hole.until or (each_cut and is_cut):
                header = self._header(HISTORY, log_id, start, previous)
                data, footer = pack(header, lines, end=end, last=last)
                yield history_name(log_id, start, end), data, footer.sha256
                start, previous, lines, size, last = end, footer.sha256, [], 0, None

    async def _records(self, start: Offset, until: Offset) -> AsyncIterator[Record]:
        while start < until:
            records = [one for one in await self._history.raw(start) if one.offset < until]
            if not records:
                raise GapError(f"the log has no record at offset {until - 1} any more")
            for record in records:
                yield record
            start = Offset(records[-1].offset + 1)

    async def _faults(self, offset: Offset, *, deep: bool) -> Sequence[str]:
        archive = await self._opened()
        if deep:
            return await archive.damages_of(offset)
        try:
            await archive.base(offset)
        except CorruptionError as exc:
            return [str(exc)]
        return ()

    async def _written_again(self, offset: Offset) -> str:
        """Write the base of the cut closed at an offset; return why not, empty if it is there."""
        try:
            cut = await self._history.find(ToOffset(offset=offset))
            await self.write_base(cut, anew=True)
        except (CorruptionError, GapError, NotFoundError) as exc:
            return str(exc)
        return ""

    async def _is_next(self, start: Offset, cut: ClosedCut) -> bool:
        """Return whether each cut from `start` to this one is without a change.

        Such cuts need no bytes of their own: a source at rest has many while a target is paused.
        A history with a hole there, such as another store's, tells nothing about them.
        """
        try:
            return await self._is_without_change(start, cut)
        except GapError:
            return False

    async def _is_without_change(self, start: Offset, cut: ClosedCut) -> bool:
        at, has_changed = start, False
        while records := await self._history.raw(at):
            for record in records:
                if record.offset >= cut.offset:
                    return True
                if record.type == CUT_CLOSED and has_changed:
                    return False
                has_changed = has_changed or record.type != CUT_CLOSED
            at = Offset(records[-1].offset + 1)
        return False

    async def _extend(self, tail: tuple[Offset, str | None], cut: ClosedCut) -> None:
        """Write the log's records after the tail, in files of bounded size."""
        start, previous = tail
        lines, size, last = list[bytes](), 0, None
        at = start
        while at <= cut.offset:
            records = [r for r in await self._history.raw(at) if r.offset <= cut.offset]
            if not records:
                raise CorruptionError(f"the log has no record at offset {cut.offset} any more")
            for record in records:
                lines.append(record_line(record))
                size += len(lines[-1])
                at = Offset(record.offset + 1)
                if record.type == CUT_CLOSED:
                    last = closed_cut(record)
                if size >= self._limits.file_bytes_max:
                    start, previous = await self._write(start, at, previous, lines, last)
                    lines, size, last = [], 0, None
        if lines:
            await self._write(start, at, previous, lines, last)

    async def _write(
        self,
        start: Offset,
        end: Offset,
        previous: str | None,
        lines: Sequence[bytes],
        last: ClosedCut | None,
    ) -> tuple[Offset, str | None]:
        archive = await self._opened()
        header = self._header(HISTORY, archive.log_id, start, previous)
        data, footer = pack(header, lines, end=end, last=last)
        name = history_name(archive.log_id, start, end)
        if not await self._area.create(name, data):
            # An earlier attempt, or an archivist that is fenced by now, has written these records.
            # The next file names the checksum of what is stored, which another version of the
            # compressor may have packed otherwise.
            footer = (await self._store.read(name)).footer
        self._tail = end, footer.sha256
        return self._tail

    async def _write_parts(self, log_id: str, cut: ClosedCut, offsets: Offsets) -> list[BasePart]:
        parts, batch, size, done = list[BasePart](), list[Record](), 0, 0
        async for records in self._history.records(offsets):
            for record in records:
                batch.append(record)
                size += len(record.data)
                if size >= self._limits.file_bytes_max:
                    parts.append(await self._write_part(log_id, cut, batch))
                    batch, size = [], 0
            done += len(records)
            self._observer(
                Progress(what="write a base", done=done, total=len(offsets), unit="rows")
            )
        if batch:
            parts.append(await self._write_part(log_id, cut, batch))
        return parts

    async def _require_parts(self, base: Base) -> None:
        """Require that no expiry deleted the new parts: the manifest must name what exists."""
        there = await self._area.names(base_folder(base.log_id, base.offset))
        written = {part_name(base.log_id, base.offset, part.start) for part in base.parts}
        if gone := written.difference(there):
            raise TransientError(f"{min(gone)} was deleted: an expiry is running in this store")

    async def _write_part(self, log_id: str, cut: ClosedCut, records: Sequence[Record]) -> BasePart:
        start = records[0].offset
        lines = [record_line(record) for record in records]
        header = self._header(BASES, log_id, start, None)
        data, footer = pack(header, lines, end=Offset(cut.offset + 1), last=None)
        # Replaced and not created: a part that a crash cut short must not stay. Without a manifest
        # no reader opens the part, and every archivist writes the same bytes to it.
        await self._area.replace(part_name(log_id, cut.offset, start), data)
        return BasePart(start=start, records=len(records), sha256=footer.sha256)

    def _header(self, kind: FileKind, log_id: str, start: Offset, previous: str | None) -> Header:
        return Header(kind=kind, source=self._source, log_id=log_id, start=start, previous=previous)

    async def _reached(self) -> tuple[Offset, str | None] | None:
        """Return the tail; if its last file is altered, history starts again with a base."""
        if self._tail is None:
            try:
                self._tail = await self._found_tail()
            except CorruptionError as exc:
                self._tell_damage(exc)
                return None
        return self._tail

    async def _found_tail(self) -> tuple[Offset, str | None] | None:
        """Return the tail that the store has.

        Another process may follow the log meanwhile: an applier that this one takes over from, or
        the `run` beside which an operator types `hold create`. History beyond the log's end is a
        fault only if the log has not reached it by now either.

        Raises:
            LogCutShortError: the store has more of the log than the log.
            CorruptionError: the last file is altered.
        """
        archive, end = await self._opened(), (await self._history.span()).end
        while True:
            try:
                return await archive.tail(end, self._tell_damage)
            except LogCutShortError as exc:
                end = (await self._history.span()).end
                # A log that grows on is no proof: one that was put back grows at each look, too.
                if end < exc.reached:
                    raise

    def _tell_damage(self, exc: CorruptionError) -> None:
        self._observer(ArchiveDamaged(reason=str(exc)))

    async def _compare_with_head(self, tail: tuple[Offset, str | None] | None) -> None:
        if self._heads is not None:
            log_id = (await self._opened()).log_id
            await self._heads.compare(log_id, None if tail is None else tail[0])

    async def _opened(self) -> ArchivedLog:
        if self._archive is None:
            log_id = (await self._history.span()).log_id
            self._archive = ArchivedLog(self._store, log_id)
        return self._archive

    async def _say_what_about(self) -> None:
        """Write what a restore needs to know of the source when the source is gone."""
        if self._about_written:
            return
        about = About(
            source=self._source,
            log_id=(await self._opened()).log_id,
            source_layout=self._source_layout,
            target_layout=self._rows.layout,
            control_form=self._rows.control,
        )
        name, data = about_name(about.log_id), about_json(about)
        if not await self._area.create(name, data):
            former = await self._area.get(name)
            # The rows are of the former form still. The record stays until they are written anew,
            # so that an interrupted start finds out again.
            if _are_outdated(name, former, about):
                self._unwritten = about
            elif former != data:
                await self._area.replace(name, data)
        self._about_written = True

    async def _keep_gaps(self, cut: ClosedCut, gaps: Sequence[Gap]) -> None:
        """Write the target's gaps, so that they are known without its metadata store.

        Gaps that an attempt wrote without reaching its checkpoint stay true of the cuts before this
        one: the history of these cuts may be here although their bytes were not copied again.
        """
        if self._gaps is None:
            self._gaps = await self._archived_gaps()
        if _with_gaps(self._gaps, cut, gaps) == self._gaps:
            return
        # A fenced archivist that does not know it yet must not remove the gaps that its successor
        # wrote: the gaps in the store count, not those that this process read when it started.
        wanted = _with_gaps(await self._archived_gaps(), cut, gaps)
        ordered = sorted(wanted, key=lambda gap: (gap.opened, gap.key))
        name, data = gaps_name((await self._opened()).log_id), gaps_json(ordered)
        require_readable_list(name, data, hint=MANY_GAPS_HINT)
        await self._area.replace(name, data)
        self._gaps = wanted

    async def _archived_gaps(self) -> frozenset[Gap]:
        return frozenset(await archived_gaps(self._area, (await self._opened()).log_id))


def _are_outdated(name: str, former: bytes, about: About) -> bool:
    """Return whether rows were written for another place of the store, or by other settings."""
    try:
        return not about.writes_like(about_of(name, former))
    except CorruptionError:
        return False


def _with_gaps(known: frozenset[Gap], cut: ClosedCut, gaps: Sequence[Gap]) -> frozenset[Gap]:
    """Return the known gaps after a cut with these gaps: earlier ones that it lacks end with it."""
    reported = {(gap.key, gap.opened): gap for gap in gaps}
    others = [
        replace(gap, closed=cut.offset) if gap.closed is None and gap.opened < cut.offset else gap
        for gap in known
        if (gap.key, gap.opened) not in reported
    ]
    return frozenset([*reported.values(), *others])
