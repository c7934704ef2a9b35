"""The state of a target without a cluster: its checkpoint and gaps, in files of its own store.

Each `state/<source>/<number>.json` is written once and never changed. The process that creates the
next number has won: the newest file is the state, and a writer whose number is taken is fenced.
Rows are not kept: they are in the history.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainValidator

from replicator.errors import (
    CorruptionError,
    FencedError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.checkpoint import FORMER_PAUSED, Checkpoint, Gap, TargetState, merged
from replicator.model.document import NATURAL, Shape, Time, written
from replicator.model.event import Epoch
from replicator.model.fingerprint import hex_digest
from replicator.model.inventory.ledger import Keys
from replicator.model.log.renaming import Renamed
from replicator.model.row import REPLICATED, TABLES, Kind, Row, RowKey
from replicator.model.store.archive_notes import gap_json
from replicator.model.stream import NoStream, StreamPosition
from replicator.model.versions import (
    BinlogPosition,
    Continuity,
    NewStamps,
    NoVersions,
    Places,
    VersionDigest,
)
from replicator.ports import (
    LIST_BYTES_MAX,
    Area,
    Clock,
    Obstacle,
    Snapshot,
    Transaction,
    Visit,
    VisitVersions,
    require_readable_list,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEPT_STATES = 8
"""Number of state files that stay; older ones are removed. A few help to investigate."""
ATTEMPTS_MAX = 100
"""Number of attempts to write the state while other processes write it at the same time."""
DIGITS = 20
MANY_GAPS_HINT = "find out why so many rows have gaps, and mend that; `points` lists them"
NUMBER_MAX = 10**15
"""Largest number of a state: at a thousand a second it takes thirty thousand years."""
_NAME = re.compile(r"\d{20}\.json", re.ASCII)


_CHECKPOINT = Shape(Checkpoint, "", closed=True)


def _checkpoint(found: object) -> Checkpoint | None:
    """Return a checkpoint; unknown members are refused: one may be the reason to write nothing."""
    if found is None:
        return None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - as pydantic wants it
    if FORMER_PAUSED in found and "paused" not in found:
        found = {"paused" if name == FORMER_PAUSED else name: found[name] for name in found}
    return _CHECKPOINT.checked(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Contents of a state file."""

    epoch: Annotated[Epoch, NATURAL]
    checkpoint: Annotated[Checkpoint | None, PlainValidator(_checkpoint)]
    applied_at: Time | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Written):
    """A target's state, and the number of its file."""

    number: int


_STATE = Shape(
    Written,
    "remove it: the state before it counts then, and its cuts are applied again",
    is_list=True,
)


class ArchiveMetadata:
    """A `MetadataWriter` and a `NewMetadata` for a store alone.

    Args:
        area: The target's own files.
        clock: Clock that dates checkpoints.
    """

    def __init__(self, area: Area, clock: Clock) -> None:
        self._area, self._clock = area, clock

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot]:
        yield _NoRows(self._clock.now())

    async def columns(self) -> Mapping[Kind, frozenset[str]]:
        """Return the columns of the newest Druid: an archive can be restored into any."""
        return {
            kind: frozenset(table.columns) - table.local - table.target_owned
            for kind, table in TABLES.items()
            if kind in REPLICATED
        }

    async def obstacles(self) -> Sequence[Obstacle]:
        """Return none: there are no tables."""
        return ()

    async def is_made(self) -> bool:
        """Do nothing: there is nothing to make."""
        return True

    async def create(self, release: str | None, *, centralized: bool) -> bool:
        """Do nothing: there are no tables."""
        del release, centralized
        return False

    async def acquire(
        self, source: str, *, store: str | None = None, anew: bool = False
    ) -> TargetState:
        """Take the next epoch; what an archive knows lies in its store, so it is of no other.

        Raises:
            FencedError: another process took each number first, `ATTEMPTS_MAX` times.
        """
        del store, anew
        for _ in range(ATTEMPTS_MAX):
            last = await self._last(source)
            mine = replace(last, number=last.number + 1, epoch=Epoch(last.epoch + 1))
            if await self._create(source, mine):
                return _target_state(mine)
        raise FencedError(f"{ATTEMPTS_MAX} others took over the archive at once")

    async def state(self, source: str) -> TargetState:
        return _target_state(await self._last(source))

    async def gaps(self, source: str, log_id: str) -> Sequence[Gap]:
        gaps = _gaps_of(await self._last(source), log_id)
        return sorted(gaps, key=lambda gap: (gap.opened, gap.key))

    async def renamed(self, source: str) -> Sequence[Renamed]:
        """Return none: there are no rows that could have another name."""
        del source
        return ()

    @asynccontextmanager
    async def transaction(self, source: str, epoch: Epoch) -> AsyncGenerator[Transaction]:
        last = await self._last(source)
        _require_epoch(source, epoch, last)
        transaction = _Recording()
        yield transaction
        if transaction.checkpoint is None:
            return
        new = State(
            number=last.number + 1,
            epoch=epoch,
            checkpoint=transaction.checkpoint,
            applied_at=self._clock.now(),
            gaps=merged(_gaps_of(last, transaction.checkpoint.log_id), transaction.gaps),
        )
        if not await self._create(source, new):
            raise FencedError(f"the archive of {source!r} has another writer than epoch {epoch}")
        await self._prune(source, new.number)

    async def _create(self, source: str, state: State) -> bool:
        """Make a state the newest one; return False if its number is taken, or was taken once.

        A writer that was paused for long may find its number free because that file was pruned: the
        newest state is then so many numbers ahead that this one is recognised and removed.
        """
        name, data = _name(source, state.number), state_json(state)
        require_readable_list(name, data, hint=MANY_GAPS_HINT)
        if not await self._area.create(name, data):
            return False
        if _number((await self._names(source))[-1]) < state.number + KEPT_STATES:
            return True
        await self._area.delete(name)
        return False

    async def _prune(self, source: str, number: int) -> None:
        for name in await self._names(source):
            if _number(name) <= number - KEPT_STATES:
                await self._area.delete(name)

    async def _names(self, source: str) -> list[str]:
        """Return the state files, oldest first; files with other names are ignored."""
        found = await self._area.names(_folder(source))
        return [name for name in found if _NAME.fullmatch(name.rpartition("/")[2])]

    async def _last(self, source: str) -> State:
        for _ in range(ATTEMPTS_MAX):
            names = await self._names(source)
            if names and _number(names[-1]) > NUMBER_MAX:
                raise CorruptionError(
                    f"{names[-1]} leaves no number for another state, and no target came so far",
                    hint=f"another program wrote it: remove {names[-1]}",
                )
            if not names:
                return State(number=0, epoch=Epoch(0), checkpoint=None, applied_at=None, gaps=())
            with suppress(NotFoundError):  # removed meanwhile: look again
                return state_of(
                    names[-1], await self._area.get(names[-1], bytes_max=LIST_BYTES_MAX)
                )
        raise TransientError(f"{_folder(source)} changes faster than it can be read")


class _NoRows:
    """A `Snapshot` of no tables."""

    kinds: frozenset[Kind] = frozenset()
    lineage: Continuity = NoVersions("an archive has no rows")
    stream: StreamPosition | NoStream = NoStream("an archive has no rows")

    def __init__(self, taken_at: datetime) -> None:
        self.taken_at = taken_at

    async def scan(
        self,
        kind: Kind,
        visit: Visit,
        *,
        datasources: Sequence[str] | None = None,
        places: Places | None = None,
    ) -> None:
        """Visit nothing."""

    async def version_digest(self, kind: Kind, new: NewStamps) -> VersionDigest | None:
        """Return nothing: an archive has no rows."""

    async def versions(self, kind: Kind, visit: VisitVersions) -> None:
        """Visit nothing."""

    async def written_since(self, position: BinlogPosition) -> str | None:
        del position
        raise TypeError("this snapshot has no position")

    async def fetch(self, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        del kind, handles
        return ()


class _Recording:
    """A `Transaction` that keeps no rows."""

    def __init__(self) -> None:
        self.checkpoint: Checkpoint | None = None
        self.gaps: tuple[Gap, ...] = ()

    async def upsert(self, rows: Sequence[Row]) -> None:
        """Do nothing: they are in the history."""

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None]:
        """Do nothing: no row is refused."""
        yield

    async def remove(self, keys: Sequence[RowKey]) -> None:
        """Do nothing: it is in the history."""

    async def remove_hashed(self, kind: Kind, keys: Keys) -> None:
        """Do nothing: it is in the history."""

    async def record(self, checkpoint: Checkpoint, gaps: Sequence[Gap]) -> None:
        self.checkpoint, self.gaps = checkpoint, merged(self.gaps, gaps)

    async def note_renamed(self, renamed: Renamed) -> None:
        raise RefusedError(f"an archive has no rows that could be called {renamed.datasource!r}")

    async def forget_renamed(self, datasource: str) -> None:
        """Do nothing: there are none."""


def _require_epoch(source: str, epoch: Epoch, last: State) -> None:
    if last.epoch != epoch:
        newest = last.epoch or "no process has acquired it"
        raise FencedError(
            f"archive: epoch {epoch} of source {source!r} is not the newest ({newest})"
        )


def _gaps_of(state: State, log_id: str) -> tuple[Gap, ...]:
    followed = state.checkpoint is not None and state.checkpoint.log_id == log_id
    return state.gaps if followed else ()


def _target_state(state: State) -> TargetState:
    return TargetState(checkpoint=state.checkpoint, epoch=state.epoch, applied_at=state.applied_at)


def _folder(source: str) -> str:
    return f"state/{source}/"


def _name(source: str, number: int) -> str:
    return f"{_folder(source)}{number:0{DIGITS}}.json"


def _number(name: str) -> int:
    return int(name.rpartition("/")[2].removesuffix(".json"))


def state_json(state: State) -> bytes:
    """Return a state as a document."""
    return written(
        {
            "epoch": state.epoch,
            "checkpoint": None if state.checkpoint is None else _checkpoint_json(state.checkpoint),
            "applied_at": state.applied_at,
            "gaps": [gap_json(gap) for gap in state.gaps],
        }
    )


def state_of(name: str, data: bytes) -> State:
    """Return the state that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    found = _STATE.read(name, data)
    return State(
        number=_number(name),
        epoch=found.epoch,
        checkpoint=found.checkpoint,
        applied_at=found.applied_at,
        gaps=found.gaps,
    )


def _checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    return {**asdict(checkpoint), "digest": hex_digest(checkpoint.digest)}
