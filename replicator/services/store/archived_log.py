"""Reads the history that a target keeps beside its bytes, as the log that it was copied from."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from replicator.errors import (
    CorruptionError,
    GapError,
    LogCutShortError,
    NotFoundError,
    TooLargeError,
)
from replicator.model.checkpoint import Gap
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.store.archive import (
    ArchiveFile,
    Base,
    base_folder,
    history_span,
    manifest_name,
    part_name,
)
from replicator.model.store.archive_notes import (
    ABOUT,
    About,
    about_name,
    about_of,
    gaps_name,
    gaps_of,
)
from replicator.model.store.holds import HOLDS, hold_of
from replicator.ports import LIST_BYTES_MAX, Area, Keeping, Span
from replicator.services.store.files import Files, MissingFileError, merged_part, spanned
from replicator.services.store.intents import horizon
from replicator.services.store.store import Listing, Store

FALSE_BASES_MAX = 10
"""Number of manifests that are read for the same: one that names very many files takes a second."""
FALSE_NAMES_MAX = 100
"""Number of files that are read to tell how far a history goes; whoever names more hides none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A range of history without a hole: a base, and the files that follow it."""

    base: Base
    end: Offset
    """Offset after the last record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A range of offsets whose files are missing, although history goes on after them."""

    start: Offset
    until: Offset

    def __str__(self) -> str:
        return f"there is no history from offset {self.start} to {self.until}, and no base"


class ArchivedLog:
    """An `EventLog` over the files of one log in one store; it writes nothing.

    Where files between others are missing, reading stops with a GapError: a log has no holes.
    """

    def __init__(self, store: Store, log_id: str) -> None:
        self.store, self._log_id = store, log_id
        self._listing = Listing(history=(), bases=())
        self._history = Files(store)
        self._bases: list[Offset] = []
        self._base_files: frozenset[str] = frozenset()
        self._lost: set[str] = set()
        self._known: dict[Offset, tuple[Base, Files]] = {}
        self._listed = self._is_fixed = False
        self._passed: set[str] = set()

    @property
    def log_id(self) -> str:
        """Return the id of the log that this history is a copy of."""
        return self._log_id

    def fix(self) -> None:
        """Keep to the last listing from now on: two requests less for each question.

        For an operation that reads cuts which are listed already. What is written meanwhile is not
        seen; a file that is gone leads to a new listing, as it does without this.
        """
        self._is_fixed = True

    async def refresh(self) -> None:
        """List the files again: two requests."""
        self.take(await self.store.listing(self._log_id))

    def take(self, listing: Listing) -> None:
        """Use a listing that the caller has just made."""
        history, bases = listing.history_of(self._log_id), listing.bases_of(self._log_id)
        found = Listing(history=history, bases=bases)
        if not self._listed or found.history != self._listing.history:
            self._take_history(history)
        if not self._listed or found.bases != self._listing.bases:
            self._bases, self._base_files = found.offsets(self._log_id), frozenset(bases)
        self._listing, self._listed = found, True

    def _take_history(self, names: Sequence[str]) -> None:
        left = spanned(name for name in names if name not in self._passed)
        self._history = Files(self.store, left)

    async def pass_over_altered_end(self) -> Sequence[str]:
        """Skip altered files at the history's end; return a message for each.

        Otherwise no cut of the history could be found by time.
        """
        found: list[str] = []
        await self.refresh()
        while len(self._history):
            try:
                await self._history.file(len(self._history) - 1)
            except CorruptionError as exc:
                found.append(str(exc))
                self._passed.add(self._history.names[-1])
                self._take_history(self._listing.history)
            else:
                break
        return found

    async def span(self) -> Span:
        """Return which offsets the files hold; a base stands for its cut's offset.

        Raises:
            NotFoundError: there are no files.
        """
        await self._list_anew()
        if (end := self._end()) is None:
            raise NotFoundError(f"there is no history of log {self._log_id} here")
        first = min([*self._history.starts[:1], *self._bases[:1]])
        return Span(log_id=self._log_id, first=first, end=end)

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        """Return records with an offset of `start` or larger, ascending, none at the end.

        Raises:
            GapError: there are files before and after `start`, or only after it.
            CorruptionError: a file is altered; the message names it.
        """
        await self._list_once()
        history = self._history  # another task may list anew meanwhile
        index, found = history.holding(start), list[Record]()
        if index < 0 or start >= history.ends[index]:
            self._require_end(start)
            return found
        while index < len(history) and len(found) < records_max:
            if history.starts[index] > start:
                break
            try:
                records = (await history.file(index)).records
            except MissingFileError:
                return found or await self._read_again(start, records_max, history)
            at = bisect_left(records, start, key=_offset)
            found += records[at : at + records_max - len(found)]
            start = history.ends[index]
            index += 1
        return found

    async def _read_again(self, start: Offset, records_max: int, before: Files) -> Sequence[Record]:
        """Read by a new listing: a file that is gone leaves a hole."""
        await self.refresh()
        # The file is listed and cannot be read: another listing would give the same answer for
        # ever.
        if self._history.names == before.names:
            raise CorruptionError(f"a file of log {self._log_id} is listed and cannot be read")
        return await self.read(start, records_max=records_max)

    async def offset_at(self, time: datetime) -> Offset | None:
        """Return the first offset appended at or after `time`; None also if that is unclear."""
        await self._list_once()
        history = self._history
        low, high = 0, len(history)
        try:
            while low < high:  # the first file whose last record is not older
                middle = (low + high) // 2
                records = (await history.file(middle)).records
                older = not records or records[-1].appended_at < time
                low, high = (middle + 1, high) if older else (low, middle)
            if low == len(history):
                return None
            records = (await history.file(low)).records
        except CorruptionError:
            return None  # only a hint: the search itself fails on this file if it needs the file
        return next((r.offset for r in records if r.appended_at >= time), None)

    async def keeping(self) -> Keeping:
        """Return that these files stay: only an expiry of their target deletes them."""
        return Keeping()

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        """Do nothing: the files have no operator to report to."""

    async def reported(self, reader: str) -> str | None:
        """Return None: no reader reports to files."""

    async def offsets(self) -> Sequence[Offset]:
        """List the files again and return the offsets of the cuts with a base, ascending."""
        await self._list_anew()
        return self._bases

    @property
    def listed_end(self) -> Offset | None:
        """Offset at which the history ended in the last listing; None if there was none."""
        return self._end()

    async def has_base(self, offset: Offset) -> bool:
        """Return whether the last listing had a base of this cut."""
        await self._list_once()
        return offset in self._bases

    async def base(self, offset: Offset) -> Base:
        """Return a base by the offset of its cut.

        Whether its files are there is seen in the listing: no file is requested.

        Raises:
            CorruptionError: its manifest is missing or altered, or a file that it names is missing.
        """
        base, files = await self._base(offset)
        if (lost := self._lost_of(files)) and lost not in self._lost:
            await self._list_anew()  # a listing is no moment: the base may have been written in it
            if lost := self._lost_of(files):
                self._lost.add(lost)
        if lost:
            raise CorruptionError(f"{lost} is missing from the archive")
        return base

    def _lost_of(self, files: Files) -> str | None:
        """Return the first file of a base that was not listed; None: all of them were."""
        return next((name for name in files.names if name not in self._base_files), None)

    async def read_base(
        self, offset: Offset, start: Offset, *, records_max: int, of: Base | None = None
    ) -> Sequence[Record]:
        """Return records of a base with an offset of `start` or larger, ascending, as `read`."""
        base = (await self._base(offset))[0]
        try:
            return await self._read_base(offset, start, records_max, of)
        except CorruptionError:
            # The base may have been deleted and written again, split into other parts.
            self._known.pop(offset, None)
            self.store.forget(manifest_name(self._log_id, offset))
            if (await self._base(offset))[0] == base:
                raise
            return await self._read_base(offset, start, records_max, of)

    async def _read_base(
        self, offset: Offset, start: Offset, records_max: int, of: Base | None
    ) -> Sequence[Record]:
        base, files = await self._base(offset)
        if of is not None and base != of:
            raise CorruptionError(
                f"{manifest_name(self._log_id, offset)} is another one than was read before"
            )
        index, found = max(0, files.holding(start)), list[Record]()
        while index < len(files) and len(found) < records_max:
            sha256 = base.parts[index].sha256
            file = await files.file(index, sha256=sha256)
            if file.footer.sha256 != sha256:
                raise CorruptionError(
                    f"{part_name(self._log_id, offset, files.starts[index])} is not the file that"
                    " its manifest names"
                )
            at = bisect_left(file.records, start, key=_offset)
            found += file.records[at : at + records_max - len(found)]
            index += 1
        return found

    async def resume(self, start: Offset) -> Offset | None:
        """Return the next offset with a record or a base, from `start` on; None for none."""
        await self._list_once()
        index = self._history.holding(start)
        if index >= 0 and start < self._history.ends[index]:
            return start
        bases = self._bases[bisect_left(self._bases, start) :]
        return min([*self._history.starts[index + 1 : index + 2], *bases[:1]], default=None)

    async def doubt(self) -> None:
        """Return None: these files are the log itself."""

    async def whole_until(self, start: Offset) -> Offset:
        """Return the offset up to which no file is missing after the base or record at `start`."""
        await self._list_once()
        return self._history.whole_until(Offset(start + 1))

    async def end(self) -> Offset | None:
        """Return where the history ends by the names of its files; None if there is none."""
        await self.refresh()
        return self._end()

    async def tail(
        self, log_end: Offset, damaged: Callable[[CorruptionError], None]
    ) -> tuple[Offset, str | None] | None:
        """Return where the history ends, and the checksum of its last file; None if there is none.

        The checksum is None if a base was written last. Nothing that an archivist writes is beyond
        the log's end. Whoever can write to the store can give a file any name, so one with such a
        name counts only if it can be read, and so does a base.

        Args:
            log_end: Offset at which the log ends.
            damaged: Called for each file that does not count.

        Raises:
            CorruptionError: the last file is altered.
            LogCutShortError: the history goes on after the log's end.
        """
        await self.refresh()
        await self._pass_over_false_ends(log_end, damaged)
        end = self._history.ends[-1] if len(self._history) else None
        if (base := await self._last_base(end, damaged)) is not None:
            # A forged name would otherwise end the watcher; a base that can be read proves that the
            # log was cut short.
            if base >= log_end:
                raise self._goes_on(Offset(base + 1), log_end)
            return Offset(base + 1), None
        if end is None:
            return None
        return end, (await self._history.file(len(self._history) - 1)).footer.sha256

    async def _pass_over_false_ends(
        self, log_end: Offset, damaged: Callable[[CorruptionError], None]
    ) -> None:
        beyond = [name for name in self._listing.history if _span(name)[1] > log_end]
        beyond = [name for name in beyond if name not in self._passed]
        for name in beyond[-FALSE_NAMES_MAX:]:
            try:
                await self.store.read(name)
            except (CorruptionError, NotFoundError) as exc:
                damaged(CorruptionError(str(exc), hint=exc.hint))
            else:
                raise self._goes_on(_span(name)[1], log_end)
        if beyond:
            self._passed.update(beyond)
            self._take_history(self._listing.history)

    def _goes_on(self, end: Offset, log_end: Offset) -> LogCutShortError:
        return LogCutShortError(
            f"the history of log {self._log_id} in the store goes on to offset {end}, and the log"
            f" ends at {log_end}: the log has lost records, or another program wrote that history",
            hint="bring the newest copy of the log back; or take the files with such offsets in"
            " their names out of `_replicator/history` and `_replicator/bases` of the store",
            reached=end,
        )

    async def _last_base(
        self, end: Offset | None, damaged: Callable[[CorruptionError], None]
    ) -> Offset | None:
        """Return the last base with a manifest from where the files end on; None: there is none."""
        for offset in reversed(self._bases[-FALSE_BASES_MAX:]):
            if end is not None and offset < end:
                break
            try:
                await self._base(offset)
            except CorruptionError as exc:
                damaged(exc)
            else:
                return offset
        return None

    async def windows(self) -> tuple[Sequence[Window], Sequence[str]]:
        """Return the windows, oldest first, and a message for each altered base and each hole.

        Only the names of files and the manifests are used; `damages` reads the files. If the base
        that would start a window is altered or not whole, the next base starts it. Expired history
        is in no window, nor are the bases of held cuts before the horizon.
        """
        await self.refresh()
        return await self.windows_from(await horizon(self.store.area, self._log_id))

    async def windows_from(self, bar: Offset) -> tuple[Sequence[Window], Sequence[str]]:
        """Return the windows as `windows` does, by the last listing and a horizon that is known."""
        windows, faults = list[Window](), list[str]()
        for offset in self._bases:
            if offset < bar or (windows and offset < windows[-1].end):
                continue
            try:
                base = await self.base(offset)
            except CorruptionError as exc:
                faults.append(str(exc))
            else:
                end = self._history.whole_until(Offset(offset + 1))
                # without its parts: whoever writes to a store can name very many of them
                windows.append(Window(base=replace(base, parts=()), end=end))
        return windows, [*faults, *self._holes_after(bar)]

    async def unexpired(self) -> Sequence[Offset]:
        """List the files again; return the cuts with a base that has not expired, or is held."""
        await self.refresh()
        return (await self._unexpired())[1]

    async def _unexpired(self) -> tuple[Offset, Sequence[Offset]]:
        """Return the horizon, and the cuts with a base that counts, by the last listing."""
        bar = await horizon(self.store.area, self._log_id)
        holds = await held_offsets(self.store.area, self._log_id)
        # The next expiry deletes what an expiry leaves of a base, and also the base of a hold
        # that was refused because the expiry came first.
        return bar, [one for one in self._bases if one >= bar or one in holds]

    async def lost(self) -> Sequence[str]:
        """List the files again; return a message for each base that is not whole and each hole.

        Unlike `windows` this reads the manifest of each base, also of those within a window.
        """
        await self.refresh()
        return await self._missing(*await self._unexpired())

    async def _missing(self, bar: Offset, bases: Sequence[Offset]) -> list[str]:
        found: list[str] = []
        for offset in bases:
            try:
                await self.base(offset)
            except CorruptionError as exc:
                found.append(str(exc))
        return [*found, *self._holes_after(bar)]

    def _holes_after(self, bar: Offset) -> list[str]:
        """Return a message for each range that files are missing from and that has not expired."""
        return [str(hole) for hole in self._holes() if hole.until > bar]

    async def holes(self) -> Sequence[Hole]:
        """List the files again; return the ranges between files, ascending.

        Also those that end with a base. Where a target went on in one step, no file was there; the
        next one then names none before it.
        """
        await self.refresh()
        return self._between_files(await horizon(self.store.area, self._log_id))

    def _between_files(self, bar: Offset) -> list[Hole]:
        # what is before the horizon has expired, up to the record that closes its cut
        return self._ranges(Offset(max(min(self._bases, default=-1), bar or -1) + 1), ())

    def _ranges(self, reached: Offset, bases: Sequence[Offset]) -> list[Hole]:
        """Return the ranges from `reached` on that neither files nor these bases bridge."""
        found: list[Hole] = []
        for start, end in zip(self._history.starts, self._history.ends, strict=True):
            if before := bisect_left(bases, start):
                reached = max(reached, Offset(bases[before - 1] + 1))
            if 0 < reached < start:
                found.append(Hole(start=reached, until=start))
            reached = max(reached, end)
        return found

    async def edges(self, hole: Hole) -> tuple[str | None, str | None]:
        """Return the checksums at which a hole begins and ends; None where a base is, or no file.

        Raises:
            CorruptionError: a file beside the hole is altered.
        """
        await self._list_once()
        history = self._history
        before, after = history.holding(Offset(hole.start - 1)), history.holding(hole.until)
        begins = None
        if before >= 0 and history.ends[before] == hole.start:
            begins = (await history.file(before)).footer.sha256
        return begins, (await history.file(after)).header.previous

    async def unnamed(self) -> Sequence[str]:
        """List the files again; return a message for each lost part, whose rows are unknown.

        Files that a base follows are reported as well: no restore needs them, but rows that came
        and went there are named nowhere else.

        Raises:
            CorruptionError: a file beside lost ones is altered.
        """
        await self.refresh()
        bar, bases = await self._unexpired()
        found = await self._missing(bar, bases)
        if bar > 0 and bar not in self._bases:  # what expired before it left its rows to this base
            found.append(f"the base at offset {bar} is missing")
        for hole in self._between_files(bar):
            _, previous = await self.edges(hole)
            if previous is not None and str(hole) not in found:
                found.append(f"the history from offset {hole.start} to {hole.until} is lost")
        return found

    async def last_cut(self, window: Window) -> ClosedCut:
        """Return the last cut of a window.

        Raises:
            CorruptionError: the file that closes the cut is altered.
        """
        history = self._history
        index = history.holding(Offset(window.end - 1))
        while index >= 0 and history.ends[index] > window.base.offset + 1:
            if (last := (await history.file(index)).footer.last) is not None:
                return last
            index -= 1
        return window.base.cut

    async def damages(self) -> Sequence[str]:
        """Read all files again; return a message with the name of each damaged one."""
        self.store.forget()
        self._known = {}
        await self.refresh()
        found = await self._damaged_files()
        bar, bases = await self._unexpired()
        found += self._holes_after(bar)
        for offset in bases:
            found += await self.damages_of(offset)
        return found

    async def _damaged_files(self) -> list[str]:
        found: list[str] = []
        ended: dict[Offset, set[str]] = {}
        first: Offset | None = None
        for name in sorted(self._listing.history, key=_span):
            try:
                file = await self._read_anew(name)
            except (CorruptionError, NotFoundError) as exc:
                found.append(str(exc))
                continue
            first = file.header.start if first is None else first  # what was before has expired
            # Two checksums if two archivists wrote at once.
            before = ended.get(file.header.start, set())
            if file.header.start > first and file.header.previous not in {None, *before}:
                found.append(f"the file before {name} is missing, or another one")
            for part in file.parts:
                ended.setdefault(part.footer.end, set()).add(part.footer.sha256)
        return found

    async def _read_anew(self, name: str) -> ArchiveFile:
        try:
            return await self.store.read(name)
        except NotFoundError:
            if (found := await merged_part(self.store, name)) is None:
                raise
            return found

    def _holes(self) -> list[Hole]:
        """Return the ranges that files must be missing from: each window starts with a base."""
        return self._ranges(Offset(0), self._bases)

    async def damages_of(self, base: Offset) -> list[str]:
        """Read a base again; return a message for each of its files that is damaged."""
        found: list[str] = []
        try:
            parts = (await self._base(base))[0].parts
        except CorruptionError as exc:
            return [str(exc)]
        for part in parts:
            try:
                await self.read_base(base, part.start, records_max=1)
            except CorruptionError as exc:
                found.append(str(exc))
        return found

    async def _base(self, offset: Offset) -> tuple[Base, Files]:
        if offset not in self._known:
            name = manifest_name(self._log_id, offset)
            try:
                base = await self._manifest(offset, name)
            except NotFoundError as exc:
                await self.refresh()  # an expiry has deleted it since it was listed
                raise CorruptionError(f"{name} is missing from the archive") from exc
            bounds = pairwise([*[part.start for part in base.parts], Offset(offset + 1)])
            names = [(start, end, part_name(self._log_id, offset, start)) for start, end in bounds]
            # One base at a time: a list of parts grows with the inventory, and a restore reads one
            # base.
            self._known = {offset: (base, Files(self.store, names))}
        return self._known[offset]

    async def _manifest(self, offset: Offset, name: str) -> Base:
        """Return a base, unless it names more files than there are; reads no other file."""
        await self._list_once()
        try:
            return await self.store.base(name, parts_max=self._parts_listed(offset))
        except TooLargeError:
            if name in self._lost:
                raise
            self._lost.add(name)
        await self._list_anew()  # it may have been written since
        return await self.store.base(name, parts_max=self._parts_listed(offset))

    def _parts_listed(self, offset: Offset) -> int:
        names, folder = self._listing.bases, base_folder(self._log_id, offset)
        return bisect_left(names, f"{folder}\U0010ffff") - bisect_left(names, folder)

    async def _list_anew(self) -> None:
        await (self._list_once() if self._is_fixed else self.refresh())

    async def _list_once(self) -> None:
        if not self._listed:
            await self.refresh()

    def _end(self) -> Offset | None:
        ends = [*self._history.ends[-1:], *[Offset(base + 1) for base in self._bases[-1:]]]
        return max(ends, default=None)

    def _require_end(self, start: Offset) -> None:
        """Raise a GapError unless `start` is at the history's end."""
        if (end := self._end()) is not None and start < end:
            after = self._history.holding(start) + 1
            until = self._history.starts[after] if after < len(self._history) else end
            raise GapError(
                f"the archive holds no records of log {self._log_id} from offset {start} to {until}"
            )


async def held_offsets(area: Area, log_id: str) -> frozenset[Offset]:
    """Return the cuts of a log that have holds, including holds that have ended.

    Raises:
        CorruptionError: a hold is altered.
    """
    found = set[Offset]()
    for name in await area.names(f"{HOLDS}/"):
        with suppress(NotFoundError):  # removed meanwhile
            point = hold_of(name, await area.get(name)).point
            if point.log_id == log_id:
                found.add(point.offset)
    return frozenset(found)


async def abouts(area: Area) -> tuple[list[About], list[CorruptionError]]:
    """Return the histories that a store keeps, and an error for each damaged description."""
    found, faults = list[About](), list[CorruptionError]()
    for name in await area.names(f"{ABOUT}/"):
        try:
            about = about_of(name, await area.get(name))
        except CorruptionError as exc:
            faults.append(exc)
            continue
        found.append(about)
    return found, faults


async def about_fault(area: Area, log_id: str) -> str | None:
    """Return what is wrong with what a history is about: no history can be opened without that."""
    name = about_name(log_id)
    try:
        about_of(name, await area.get(name))
    except NotFoundError:
        return f"{name} is missing: nothing can be restored from this store alone"
    except CorruptionError as exc:
        return str(exc)
    return None


async def archived_logs(area: Area) -> Sequence[str]:
    """Return the ids of the logs with history in a store, by the names of the files alone."""
    names = await area.names(f"{ABOUT}/")
    return [name.removeprefix(f"{ABOUT}/").removesuffix(".json") for name in names]


async def other_logs(area: Area, log_id: str) -> Sequence[str]:
    """Return the ids of the logs with history in a store, but for this one."""
    return [one for one in await archived_logs(area) if one != log_id]


async def archived_gaps(area: Area, log_id: str) -> Sequence[Gap]:
    """Return the gaps that a store records for the cuts of a log.

    Raises:
        CorruptionError: the file with the gaps is altered.
    """
    name = gaps_name(log_id)
    try:
        return gaps_of(name, await area.get(name, bytes_max=LIST_BYTES_MAX))
    except NotFoundError:
        return ()


def _span(name: str) -> tuple[Offset, Offset]:
    """Return the key by which listings are ordered: merged files are in a folder of their own."""
    return history_span(name) or (Offset(0), Offset(0))


def _offset(record: Record) -> Offset:
    return record.offset
