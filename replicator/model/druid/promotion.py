"""The steps by which a standby becomes a primary, each decided from observations alone.

No record of a promotion's progress exists. Each step follows from the checkpoint and from the
answers of the target's Overlord, so that a promotion interrupted anywhere continues there.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from replicator.errors import MalformedRowError
from replicator.model.druid.payload import member, parse, with_member
from replicator.model.row import TERMINATED_SUPERVISOR, CommitMetadata, Supervisor

STREAMS = frozenset({"kafka", "kinesis", "rabbit"})
WITHOUT_TASKS = frozenset({"IDLE", "COMPLETED"})
"""States of supervisors that run no tasks: their stream has nothing new, or (Druid 38) they have
read everything that they were bounded to."""
CLOSED = frozenset({"EOS", "EXPIRED"})
"""Markers that Druid commits for a Kinesis shard that has ended or expired."""
_OFFSET = re.compile(r"\d{1,80}", re.ASCII)
"""Kafka's offsets have 64 bits and Kinesis' up to 56 digits; anything longer is only text."""
Offsets: TypeAlias = Mapping[str, str]
"""Sequence numbers of a stream by partition, both as text (Kafka: integers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorState:
    """State of a supervisor, as an Overlord reports it."""

    is_suspended: bool
    state: str
    starts: tuple[Offsets, ...]
    """Start offsets of each running task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A supervisor to start, and the offsets from which it must continue."""

    id: str
    spec: bytes
    """Supervisor spec to post: the source's own, not suspended."""
    offsets: Offsets
    """Offsets committed with the segments of the checkpoint's cut; empty if none ever were."""

    @property
    def reads_stream(self) -> bool:
        """Whether its tasks start at offsets, unlike those of compaction and scheduled batches."""
        type_ = member(self.spec, "type")
        return isinstance(type_, str) and type_ in STREAMS

    def awaits_tasks(self, state: SupervisorState) -> bool:
        """Return whether the supervisor has no tasks yet, but will have some."""
        if not self.reads_stream or state.starts or state.state in WITHOUT_TASKS:
            return False
        return not self.offsets or not CLOSED.issuperset(self.offsets.values())


@dataclass(frozen=True, slots=True)
class Fence:
    """Record the promotion: from then on no applier and no restore can write to the target."""


@dataclass(frozen=True, slots=True)
class Start:
    """Post the specs, because a running Overlord does not see replicated rows."""

    resumptions: tuple[Resumption, ...]


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for tasks that have not started yet."""

    resumption: Resumption


@dataclass(frozen=True, slots=True)
class Halt:
    """Stop: tasks began at other offsets, so messages would be lost or read twice."""

    resumption: Resumption
    found: Offsets


@dataclass(frozen=True, slots=True)
class Done:
    """The promotion is complete: every supervisor runs from the expected offsets."""


Step: TypeAlias = Fence | Start | Await | Halt | Done


def next_step(
    resumptions: Sequence[Resumption],
    *,
    is_promoted: bool,
    states: Mapping[str, SupervisorState],
    committed: Mapping[str, Offsets],
) -> Step:
    """Return the next step.

    Args:
        resumptions: Supervisors to start.
        is_promoted: Whether the checkpoint records the promotion.
        states: States of the supervisors that the Overlord knows.
        committed: Present offsets in the target's store. They differ from the planned ones if an
            interrupted promotion is continued after the first tasks have published.
    """
    if not is_promoted:
        return Fence()
    unstarted: list[Resumption] = []
    awaited: list[Resumption] = []
    settled = False
    for one in resumptions:
        if has_read_all(one.spec, committed[one.id]):
            continue  # by now: Druid ends such a one by itself, and it would be started again
        state = states.get(one.id)
        if state is None or state.is_suspended:
            unstarted.append(one)
            continue
        if (wrong := _begun_elsewhere(one, state, committed[one.id])) is not None:
            return Halt(one, wrong)
        if one.awaits_tasks(state):
            awaited.append(one)
        settled |= one.reads_stream and one not in awaited
    if start := _startable(unstarted, is_tried=settled, is_trying=bool(awaited)):
        return Start(start)
    return Await(awaited[0]) if awaited else Done()


def is_settled(one: Resumption, state: SupervisorState, committed: Offsets) -> bool:
    """Return whether a supervisor runs, and its tasks continue at the right offsets."""
    return (
        not state.is_suspended
        and not one.awaits_tasks(state)
        and _begun_elsewhere(one, state, committed) is None
    )


def _startable(
    unstarted: Sequence[Resumption], *, is_tried: bool, is_trying: bool
) -> tuple[Resumption, ...]:
    """Return the supervisors to start now: one alone until its stream continues, then all others.

    A mistake that affects all of them, like the topics of another Kafka, is then found before all
    have read messages, and yet hundreds of supervisors do not wait for one another.
    """
    streams = [one for one in unstarted if one.reads_stream]
    if not is_tried:
        streams = [] if is_trying else streams[:1]
    return tuple(one for one in unstarted if not one.reads_stream or one in streams)


def _begun_elsewhere(one: Resumption, state: SupervisorState, committed: Offsets) -> Offsets | None:
    """Return the start of a task that continues neither planned nor committed offsets."""
    for start in state.starts:
        if not (_begins(start, one.offsets) or _begins(start, committed)):
            return start
    return None


def offsets_of(commit: CommitMetadata | None) -> Offsets:
    """Return the offsets in a row of `druid_dataSource`; empty without a row.

    Druid 33: SeekableStreamEndSequenceNumbers writes `partitionSequenceNumberMap`, for Kafka also
    `partitionOffsetMap`.

    Raises:
        MalformedRowError: the payload is not in Druid's format.
    """
    if commit is None:
        return {}
    partitions = parse(commit.commit_metadata_payload).get("partitions")
    if not isinstance(partitions, dict):
        raise MalformedRowError(f"the offsets of {commit.datasource!r} have no partitions")
    found = partitions.get("partitionSequenceNumberMap") or partitions.get("partitionOffsetMap")
    if not isinstance(found, dict):
        raise MalformedRowError(f"the offsets of {commit.datasource!r} have no map of partitions")
    return {str(partition): str(number) for partition, number in found.items()}


def has_read_all(spec: bytes, committed: Offsets) -> bool:
    """Return whether a supervisor is bounded and has committed everything up to its bound.

    In Druid 38 `boundedStreamConfig` of an ioConfig has the same partitions at both ends.

    Raises:
        MalformedRowError: the spec is not JSON.
    """
    found: object = parse(spec)
    for name in ("spec", "ioConfig", "boundedStreamConfig", "endSequenceNumbers"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict) or not found:
        return False
    return all(_reaches(committed.get(str(key)), str(end)) for key, end in found.items())


def _reaches(number: str | None, end: str) -> bool:
    if number is None or not (_OFFSET.fullmatch(number) and _OFFSET.fullmatch(end)):
        return number == end
    return int(number) >= int(end)


def is_terminated(supervisor: Supervisor) -> bool:
    """Return whether a supervisor was terminated."""
    return bool(member(supervisor.payload, "type") == TERMINATED_SUPERVISOR)


def is_suspended(supervisor: Supervisor) -> bool:
    """Return whether a supervisor's spec is suspended."""
    return member(supervisor.payload, "suspended") is True


def awake(supervisor: Supervisor) -> bytes:
    """Return a supervisor's spec with the suspension removed."""
    return with_member(supervisor.payload, "suspended", False)  # noqa: FBT003 - a JSON value


def asleep(spec: bytes) -> bytes:
    """Return a spec with the supervisor suspended."""
    return with_member(spec, "suspended", True)  # noqa: FBT003 - a JSON value


def _begins(start: Offsets, committed: Offsets) -> bool:
    """Whether a task continues at committed offsets; new partitions may start anywhere."""
    return all(start.get(partition, number) == number for partition, number in committed.items())
