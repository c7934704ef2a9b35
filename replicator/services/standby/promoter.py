"""Makes a standby a primary: fences it, gives it the source's rules, starts its supervisors.

The log, if it can be read, provides what the target does not hold: which supervisors were running
at the source, rules that drop, and what came after the target's cut. If the log was lost with the
source, the operator says which supervisors continue.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TypeAlias, assert_never

import numpy as np

from replicator.errors import (
    ConfigError,
    CorruptionError,
    GapError,
    NewerReleaseError,
    NotFoundError,
    RefusedError,
    TransientError,
    worst_alone,
)
from replicator.model.checkpoint import Checkpoint
from replicator.model.druid.cluster_config import ConfigParts, Configuration, Left, configuration
from replicator.model.druid.known_since import traits, unknown_to
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.promotion import (
    Await,
    Done,
    Fence,
    Halt,
    Offsets,
    Resumption,
    Start,
    Step,
    SupervisorState,
    asleep,
    awake,
    has_read_all,
    is_settled,
    is_suspended,
    is_terminated,
    next_step,
    offsets_of,
)
from replicator.model.event import Offset, RowChanged
from replicator.model.log.peek import changed_datasource
from replicator.model.log.reading import OfKinds
from replicator.model.observation import Observer
from replicator.model.observed.faults import Waiting
from replicator.model.row import (
    CommitMetadata,
    ConfigEntry,
    Kind,
    Row,
    Rules,
    Supervisor,
)
from replicator.ports import Chunk, MetadataReader, MetadataWriter, SourceReader, fetched
from replicator.ports.druid import DruidCluster
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.task_group import TaskGroup

POLL_S = 0.5
REQUESTS_IN_FLIGHT_MAX = 8
"""Number of requests to an Overlord at once."""
BEHIND_MAX = timedelta(seconds=5)
"""Longest lag of a replica of the source; a healthy one is a second behind."""
ControlRow: TypeAlias = Supervisor | Rules | ConfigEntry
"""Control rows from the log, as the source has them."""
ALL = frozenset({"all"})
"""The choice of every supervisor that was not terminated."""


_UNREADABLE = (TransientError, NotFoundError, GapError, CorruptionError)
"""What a log may answer when it is asked how far a target is behind: a takeover needs no log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What the log holds after a target's cut."""

    cuts: int
    events: int
    datasources: frozenset[str] = frozenset()
    """Datasources of the rows that are new or changed in these records."""
    cut_short_at: Offset | None = None
    """End of a log that has lost the target's own cut, and all after it; None: it has not.

    Control rows are then those of its last cut.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionPlan:
    """What a promotion would do; the operator sees it before agreeing."""

    chosen: frozenset[str] | None
    """The supervisors that the operator named; None: those that were running."""
    checkpoint: Checkpoint
    resumptions: tuple[Resumption, ...]
    asleep: tuple[str, ...]
    """Supervisors that stay suspended."""
    rules: tuple[Rules, ...] | None
    """The source's own load rules, with those that drop; None: the log cannot be read.

    Tiers have the target's names; what its Druid is too old for is translated.
    """
    configuration: Configuration | None
    """Entries that are written to `druid_config`; None: the log cannot be read."""
    behind: Behind | None
    """Number of records after the checkpoint; None: the log cannot be read."""
    left: tuple[Left, ...] = ()
    """Configuration entries that the target's Druid is too old for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """How the source's control rows are taken over."""

    load_rules: LoadRules = field(default_factory=partial(LoadRules, with_drops=True))
    druid: OlderDruid = field(default_factory=OlderDruid)
    parts: ConfigParts = field(default_factory=ConfigParts)


class Promoter:
    """Plans first, then acts step by step; each step follows from what is seen.

    Without the address of the target's Druid it plans, and promotes what has no supervisors.
    """

    def __init__(
        self,
        *,
        source: str,
        target: str,
        history: History,
        metadata: MetadataWriter,
        druid: DruidCluster | None,
        takeover: Takeover,
        resume_timeout_s: float,
        observer: Observer,
    ) -> None:
        self._takeover = takeover
        self._seen: dict[str, SupervisorState] = {}
        """Supervisors seen to continue at the right offsets; they are not queried again."""
        self._posted: set[str] = set()
        """Supervisors whose specs were sent; Druid may apply them a while later."""
        self._source = source
        self._target = target
        self._history = history
        self._metadata = metadata
        self._druid = druid
        self._resume_timeout_s = resume_timeout_s
        self._observer = observer

    async def plan(self, *, chosen: frozenset[str] | None) -> PromotionPlan:
        """Return what would be done; nothing is changed.

        `chosen` names the supervisors that continue; None: those that were running at the source.

        Raises:
            RefusedError: nothing was applied yet, only one datasource is at the cut, or it is
                unknown which supervisors were running.
            NotFoundError: a chosen supervisor does not exist.
        """
        checkpoint = (await self._metadata.state(self._source)).checkpoint
        if checkpoint is None:
            raise RefusedError(f"target {self._target!r} holds nothing of {self._source!r} yet")
        if checkpoint.datasource is not None:
            raise RefusedError(
                f"only datasource {checkpoint.datasource!r} of target {self._target!r} is at cut"
                f" {checkpoint.cut}",
                hint="restore all of it to one cut, or let it follow again (`apply --resume`)",
            )
        supervisors = {row.spec_id: row for row in await self._supervisors()}
        alive = {id_ for id_, row in supervisors.items() if not is_terminated(row)}
        logged = await self._logged(checkpoint)
        wanted = _wanted(alive, chosen, logged)
        commits = await self._commits()
        chosen_rows = [supervisors[id_] for id_ in sorted(wanted)]
        unstarted = self._too_new(chosen_rows) | _finished(chosen_rows, commits)
        wanted -= unstarted.keys()
        rules, without = self._rules(logged)
        return PromotionPlan(
            chosen=chosen,
            checkpoint=checkpoint,
            resumptions=tuple(
                Resumption(
                    id=id_,
                    spec=awake(supervisors[id_]),
                    offsets=_offsets(supervisors[id_], commits),
                )
                for id_ in sorted(wanted)
            ),
            asleep=tuple(sorted(alive - wanted)),
            rules=None if logged is None else rules,
            configuration=None if logged is None else await self._configuration(logged, checkpoint),
            left=(
                *(Left(name=f"supervisor {id_}", why=why) for id_, why in unstarted.items()),
                *without,
            ),
            behind=None if logged is None else await self._known_behind(checkpoint),
        )

    async def behind(self) -> Behind | None:
        """Return what the log holds after the target's cut; None where it cannot be read."""
        checkpoint = (await self._metadata.state(self._source)).checkpoint
        if checkpoint is None:
            return None
        return await self._known_behind(checkpoint)

    async def execute(self, plan: PromotionPlan) -> PromotionPlan:
        """Carry out a plan; the same call continues an interrupted one.

        If the target has moved since the plan was made, the plan is made again; the plan that was
        carried out is returned.

        Raises:
            ConfigError: there are supervisors, and nothing says where the target's Druid is.
            FencedError: another process took over the target.
            CorruptionError: a supervisor's tasks began at other offsets; it was suspended again.
            TransientError: the Overlord is unreachable, or its tasks do not start in time.
        """
        self._require_overlord(plan)
        step: Step = Fence()
        self._seen.clear()
        self._posted.clear()
        clock, progress = asyncio.get_running_loop().time, 0
        try:
            async with asyncio.timeout(self._resume_timeout_s) as limit:
                while not isinstance(step := await self._look(plan), Done):
                    plan = await self._take(step, plan)
                    # The limit is for one supervisor, not for all: a hundred of them start one
                    # after the other.
                    if not isinstance(step, Await) or len(self._seen) > progress:
                        limit.reschedule(clock() + self._resume_timeout_s)
                    progress = len(self._seen)
        except TimeoutError as exc:
            waits = (
                f"supervisor {step.resumption.id}" if isinstance(step, Await) else "the Overlord"
            )
            raise TransientError(
                f"{waits} of target {self._target!r} has no running tasks after"
                f" {self._resume_timeout_s:g} s",
                hint="see what its Overlord says of it, then run the command again: it goes on",
            ) from exc
        return plan

    @property
    def _overlord(self) -> DruidCluster:
        if self._druid is None:
            raise ConfigError(
                f"targets.{self._target}.druid is not configured: a supervisor is started by its"
                " Overlord",
                hint=f"set targets.{self._target}.druid.coordinator_url: http://host:8081",
            )
        return self._druid

    def _require_overlord(self, plan: PromotionPlan) -> None:
        """Refuse a promotion whose supervisors it could not start, before anything is fenced."""
        if plan.resumptions:
            _ = self._overlord

    async def _take(self, step: Fence | Start | Await | Halt, plan: PromotionPlan) -> PromotionPlan:
        match step:
            case Fence():
                return await self._fence(plan)
            case Start(resumptions):
                if self._posted.issuperset(one.id for one in resumptions):
                    await self._wait(resumptions[0], "it is suspended all the same")
                for one in resumptions:
                    await self._overlord.supervise(one.spec)
                    self._posted.add(one.id)
            case Await(resumption):
                await self._wait(resumption, "its tasks are not there yet")
            case Halt(resumption, found):
                await self._halt(plan, resumption, found)
            case _:
                assert_never(step)
        return plan

    async def _wait(self, resumption: Resumption, reason: str) -> None:
        what = f"resume supervisor {resumption.id}"
        self._observer(Waiting(what=what, reason=reason, delay_s=POLL_S))
        await asyncio.sleep(POLL_S)

    async def _look(self, plan: PromotionPlan) -> Step:
        checkpoint = (await self._metadata.state(self._source)).checkpoint
        states = await self._states([one for one in plan.resumptions if one.id not in self._seen])
        supervisors = {row.spec_id: row for row in await self._supervisors()}
        commits = await self._commits()
        committed = {one.id: _offsets(supervisors[one.id], commits) for one in plan.resumptions}
        for one in plan.resumptions:
            state = states.get(one.id)
            if state is not None and is_settled(one, state, committed[one.id]):
                self._seen[one.id] = state
        return next_step(
            plan.resumptions,
            is_promoted=checkpoint is not None and checkpoint.promoted,
            states=self._seen | states,
            committed=committed,
        )

    async def _states(self, some: Sequence[Resumption]) -> dict[str, SupervisorState]:
        """Ask the Overlord about some supervisors, a few at once."""
        slots, states = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX), dict[str, SupervisorState]()

        async def ask(id_: str) -> None:
            async with slots:
                if (state := await self._overlord.supervisor(id_)) is not None:
                    states[id_] = state

        with worst_alone():
            async with TaskGroup() as group:
                for one in some:
                    group.create_task(ask(one.id))
        return states

    async def _fence(self, plan: PromotionPlan) -> PromotionPlan:
        """Fence the target: from the commit on, no applier and no restore can write.

        Rules and configuration are in the same commit, so no promotion stops between them.
        """
        state = await self._metadata.acquire(self._source)
        # An applier or a restore may have moved the target while the operator read the plan.
        if state.checkpoint != plan.checkpoint:
            plan = await self.plan(chosen=plan.chosen)  # from here on it cannot move any more
            self._require_overlord(plan)
        promoted = replace(plan.checkpoint, promoted=True)
        async with self._metadata.transaction(self._source, state.epoch) as transaction:
            await transaction.upsert(plan.rules or ())
            if plan.configuration is not None:
                await transaction.upsert(plan.configuration.rows)
            await transaction.record(promoted, ())
        return plan

    async def _halt(self, plan: PromotionPlan, resumption: Resumption, found: Offsets) -> None:
        """Suspend supervisors that began at other offsets, or whose first offsets are unknown."""
        for one in (resumption, *plan.resumptions):
            # Tasks that publish from wrong offsets would lose or repeat messages for good, as trap
            # 10 says; a suspended supervisor loses nothing.
            if one.reads_stream and one.id not in self._seen:
                await self._overlord.supervise(asleep(one.spec))
                self._seen[one.id] = SupervisorState(is_suspended=True, state="", starts=())
        raise CorruptionError(
            f"supervisor {resumption.id} began to read at {dict(found)} and not at"
            f" {dict(resumption.offsets)}, where its segments end; it was suspended again",
            hint="see what druid_dataSource holds of it, and that its topic is the source's",
        )

    async def _configuration(
        self, logged: Sequence[ControlRow], checkpoint: Checkpoint
    ) -> Configuration:
        """Return what the target takes over; nothing if it is promoted already."""
        if checkpoint.promoted:
            return Configuration()
        rows = await rows_of(self._metadata, Kind.CONFIG)
        return configuration(_entries(logged), _entries(rows), self._takeover.parts)

    def _rules(
        self, logged: Sequence[ControlRow] | None
    ) -> tuple[tuple[Rules, ...], tuple[Left, ...]]:
        """Return the rules as they will be, and those that stay as they are."""
        rules: list[Rules] = []
        left: list[Left] = []
        for row in logged or ():
            if not isinstance(row, Rules):
                continue
            try:
                mapped = self._takeover.load_rules.mapped(row.payload)
                rules.append(replace(row, payload=self._takeover.druid.rules(mapped)))
            except NewerReleaseError as exc:
                left.append(Left(name=f"rules of {row.datasource}", why=str(exc)))
        return tuple(rules), tuple(left)

    def _too_new(self, supervisors: Iterable[Supervisor]) -> dict[str, str]:
        """Return why some supervisors would behave differently on the target than at the source."""
        release = self._takeover.druid.release
        if release is None:
            return {}
        return {
            row.spec_id: f"{known.trait.text} is of {known.since.text}, and the target runs"
            f" {release.text}: {known.effect}"
            for row in supervisors
            for trait in traits(row)
            if (known := unknown_to(trait, release)) is not None
        }

    async def _logged(self, checkpoint: Checkpoint) -> Sequence[ControlRow] | None:
        """Return the source's own control rows at the cut; None if the log cannot be read."""
        control = OfKinds(kinds=frozenset({Kind.SUPERVISOR, Kind.RULES, Kind.CONFIG}))
        found: list[ControlRow] = []
        try:
            span = await self._history.span()
            if span.log_id != checkpoint.log_id:
                return None
            ledger = await fold(self._history, checkpoint.offset, control)
            async for entries in self._history.pick(np.sort(ledger.offsets)):
                rows = (e.event.row for e in entries if isinstance(e.event, RowChanged))
                found.extend(row for row in rows if isinstance(row, ControlRow))
        except _UNREADABLE as exc:
            self._observer(Waiting(what="read the log", reason=str(exc), delay_s=0))
            return None
        return tuple(found)

    async def _known_behind(self, checkpoint: Checkpoint) -> Behind | None:
        try:
            return await self._behind(checkpoint)
        except _UNREADABLE as exc:
            self._observer(Waiting(what="read the log", reason=str(exc), delay_s=0))
            return None

    async def _behind(self, checkpoint: Checkpoint) -> Behind:
        span = await self._history.span()
        # A log that was put back to an older copy must not make a target look as if it were behind
        # nothing.
        if span.end <= checkpoint.offset:
            return Behind(cuts=0, events=0, cut_short_at=span.end)
        cuts = await self._history.cuts(Offset(checkpoint.offset + 1), span.end)
        events = sum(cut.closed.count for cut in cuts)
        return Behind(
            cuts=sum(cut.closed.count > 0 for cut in cuts),
            events=events,
            datasources=await self._changed(checkpoint.offset, cuts[-1].offset)
            if events
            else frozenset(),
        )

    async def _changed(self, after: Offset, until: Offset) -> frozenset[str]:
        """Return the datasources of the rows that are new or changed between two offsets."""
        names, at = set[str](), Offset(after + 1)
        while at <= until and (records := await self._history.raw(at)):
            found = (changed_datasource(one) for one in records if one.offset <= until)
            names.update(name for name in found if name is not None)
            at = Offset(records[-1].offset + 1)
        return frozenset(names)

    async def _supervisors(self) -> list[Supervisor]:
        rows = await rows_of(self._metadata, Kind.SUPERVISOR)
        return [row for row in rows if isinstance(row, Supervisor)]

    async def _commits(self) -> dict[str, CommitMetadata]:
        rows = await rows_of(self._metadata, Kind.COMMIT)
        return {row.datasource: row for row in rows if isinstance(row, CommitMetadata)}


async def refuse_moving_source(metadata: SourceReader) -> None:
    """Refuse a planned promotion of a source that may still commit something.

    Raises:
        RefusedError: a supervisor is not suspended, a task runs, or it shows too little to say so.
    """
    freshness = await metadata.freshness()
    # A replica that lags would show suspended supervisors while the primary still commits.
    if freshness.behind > BEHIND_MAX:
        raise RefusedError(
            f"the source's metadata store is {freshness.text}; what was committed since would be"
            " lost",
            hint="let it catch up, or name the primary in source.metadata.url, and run this again",
        )
    rows = await rows_of(metadata, Kind.SUPERVISOR)
    moving = sorted(
        row.spec_id
        for row in rows
        if isinstance(row, Supervisor) and not is_terminated(row) and not is_suspended(row)
    )
    if moving:
        raise RefusedError(
            f"the source's supervisors {', '.join(moving)} are not suspended",
            hint="on the source: POST /druid/indexer/v1/supervisor/<id>/suspend, then run this"
            " again; `replicator failover TARGET` is for a source that is gone",
        )
    if tasks := await metadata.running_tasks():
        raise RefusedError(
            f"{len(tasks)} tasks of the source have not ended: {', '.join(tasks[:5])}",
            hint="wait for them, or end them, and run this again",
        )


async def rows_of(metadata: MetadataReader, kind: Kind) -> list[Row]:
    """Return all rows of one of the small tables."""
    handles: list[np.ndarray] = []

    def visit(chunk: Chunk) -> None:
        handles.append(chunk.handles)

    async with metadata.snapshot() as snapshot:
        if kind not in snapshot.kinds:
            return []
        await snapshot.scan(kind, visit)
        return [
            row for part in handles async for rows in fetched(snapshot, kind, part) for row in rows
        ]


def _entries(rows: Iterable[Row]) -> dict[str, ConfigEntry]:
    return {row.name: row for row in rows if isinstance(row, ConfigEntry)}


def _wanted(
    alive: Iterable[str],
    chosen: frozenset[str] | None,
    logged: Sequence[ControlRow] | None,
) -> set[str]:
    known = set(alive)
    if chosen == ALL:
        return known
    if chosen is not None:
        if unknown := chosen - known:
            raise NotFoundError(
                f"the target has no supervisor {', '.join(sorted(unknown))}; it has"
                f" {', '.join(sorted(known)) or 'none'}"
            )
        return set(chosen)
    if logged is None and known:
        raise RefusedError(
            "the log cannot be read, so it is unknown which supervisors ran at the source; the"
            f" target has {', '.join(sorted(known))}",
            hint="use --supervisor ID for each that is to go on, or --supervisor all",
        )
    rows = [row for row in logged or () if isinstance(row, Supervisor)]
    return known & {row.spec_id for row in rows if not is_suspended(row)}


def _offsets(supervisor: Supervisor, commits: Mapping[str, CommitMetadata]) -> Offsets:
    """Druid keys the offsets by the supervisor's id since 34, and by datasource before.

    Before 34 a stream's supervisor had its datasource's name as its id. Since then several
    supervisors of one datasource have ids of their own, and one that has committed nothing does not
    take another one's offsets.
    """
    return offsets_of(commits.get(supervisor.spec_id))


def _finished(
    supervisors: Iterable[Supervisor], commits: Mapping[str, CommitMetadata]
) -> dict[str, str]:
    """Return why some supervisors need not be started any more."""
    return {
        row.spec_id: "it has read all that it was bounded to"
        for row in supervisors
        if has_read_all(row.payload, _offsets(row, commits))
    }
