"""A standby becomes a primary: what is done next, decided from what is seen and nothing else.

Nothing remembers how far a promotion came. Each step is decided from the checkpoint and from what
the target's Overlord says, so one that was interrupted anywhere goes on where it stopped.
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
"""Druid's states of a supervisor whose stream has nothing new, and (38) of one that has read all
that it was bounded to: they run no tasks."""
CLOSED = frozenset({"EOS", "EXPIRED"})
"""Markers that Druid commits for a Kinesis shard that ended or is gone (KinesisSequenceNumber)."""
_OFFSET = re.compile(r"\d{1,80}", re.ASCII)
"""Numbers of Kafka have 64 bits, those of Kinesis up to 56 digits; of more they are texts."""
Offsets: TypeAlias = Mapping[str, str]
"""Sequence numbers of a stream by partition, both as text (Kafka: integers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorState:
    """What an Overlord says of a supervisor."""

    is_suspended: bool
    state: str
    starts: tuple[Offsets, ...]
    """Offsets at which each of its running tasks began to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A supervisor that is to go on, and from where."""

    id: str
    spec: bytes
    """The supervisor spec that is posted: the source's own, not suspended."""
    offsets: Offsets
    """Committed with the segments of the checkpoint's cut; empty when nothing ever was."""

    @property
    def reads_stream(self) -> bool:
        """Whether its tasks begin at offsets; compaction and scheduled batches have none."""
        type_ = member(self.spec, "type")
        return isinstance(type_, str) and type_ in STREAMS

    def awaits_tasks(self, state: SupervisorState) -> bool:
        """Return whether it has no tasks yet and will have some."""
        if not self.reads_stream or state.starts or state.state in WITHOUT_TASKS:
            return False
        return not self.offsets or not CLOSED.issuperset(self.offsets.values())


@dataclass(frozen=True, slots=True)
class Fence:
    """Write down that the target is promoted: no applier and no restore can write from then on."""


@dataclass(frozen=True, slots=True)
class Start:
    """Post the specs: an Overlord that runs does not know of rows that came by replication."""

    resumptions: tuple[Resumption, ...]


@dataclass(frozen=True, slots=True)
class Await:
    """Its tasks are not there yet."""

    resumption: Resumption


@dataclass(frozen=True, slots=True)
class Halt:
    """Its tasks began somewhere else: messages would be lost or read twice."""

    resumption: Resumption
    found: Offsets


@dataclass(frozen=True, slots=True)
class Done:
    """All of it is so."""


Step: TypeAlias = Fence | Start | Await | Halt | Done


def next_step(
    resumptions: Sequence[Resumption],
    *,
    is_promoted: bool,
    states: Mapping[str, SupervisorState],
    committed: Mapping[str, Offsets],
) -> Step:
    """Return what is to be done now.

    Args:
        resumptions: The supervisors that are to go on.
        is_promoted: Whether the checkpoint says so.
        states: What the Overlord says, by supervisor; it does not know of the others.
        committed: The offsets in the target's store now. They move on with the first tasks that
            publish, when a promotion that was interrupted is taken up late.
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
    """Return whether a supervisor runs, and its tasks go on where they must."""
    return (
        not state.is_suspended
        and not one.awaits_tasks(state)
        and _begun_elsewhere(one, state, committed) is None
    )


def _startable(
    unstarted: Sequence[Resumption], *, is_tried: bool, is_trying: bool
) -> tuple[Resumption, ...]:
    """Return those that may be started now: one stream alone until it goes on where it ended.

    What is wrong with all of them, like the topics of another Kafka, is then seen before all have
    read; and hundreds do not wait for one another.
    """
    streams = [one for one in unstarted if one.reads_stream]
    if not is_tried:
        streams = [] if is_trying else streams[:1]
    return tuple(one for one in unstarted if not one.reads_stream or one in streams)


def _begun_elsewhere(one: Resumption, state: SupervisorState, committed: Offsets) -> Offsets | None:
    """Return where a task began that goes on neither where the plan says nor where others ended."""
    for start in state.starts:
        if not (_begins(start, one.offsets) or _begins(start, committed)):
            return start
    return None


def offsets_of(commit: CommitMetadata | None) -> Offsets:
    """Return the offsets that a row of `druid_dataSource` holds, empty for none.

    Druid 33: SeekableStreamEndSequenceNumbers writes `partitionSequenceNumberMap`, for Kafka also
    `partitionOffsetMap`.

    Raises:
        MalformedRowError: the payload is not what Druid writes.
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
    """Return whether a supervisor is bounded and has committed all that it was to read.

    Druid 38: `boundedStreamConfig` of an ioConfig has the same partitions at both ends.

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
    """Return whether a supervisor was ended for good."""
    return bool(member(supervisor.payload, "type") == TERMINATED_SUPERVISOR)


def is_suspended(supervisor: Supervisor) -> bool:
    """Return whether a supervisor's spec says that it stands still."""
    return member(supervisor.payload, "suspended") is True


def awake(supervisor: Supervisor) -> bytes:
    """Return a supervisor's spec, not suspended."""
    return with_member(supervisor.payload, "suspended", False)  # noqa: FBT003 - a JSON value


def asleep(spec: bytes) -> bytes:
    """Return a spec, suspended."""
    return with_member(spec, "suspended", True)  # noqa: FBT003 - a JSON value


def _begins(start: Offsets, committed: Offsets) -> bool:
    """Whether a task goes on where a commit ended; a new partition begins where it likes."""
    return all(start.get(partition, number) == number for partition, number in committed.items())
