"""What is wrong, in the words of `status`, each with the command against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from replicator.errors import ConfigError, GapError, ReplicatorError
from replicator.model.checkpoint import MENDABLE
from replicator.model.operations.pulse import HaltedService, Pulse, StreamPulse
from replicator.model.operations.words import (
    age_text,
    counted,
    duration_text,
    enumerated,
    moment,
    size_text,
)
from replicator.model.store.proof import OF_OBJECTS
from replicator.services.monitoring.life import Life, LifeSign, LifeSigns
from replicator.services.monitoring.status import (
    DRILL,
    KILL_MARGIN,
    LOG_MARGIN,
    RPO,
    LogStatus,
    SourceStatus,
    TargetStatus,
)

if TYPE_CHECKING:
    from replicator.model.store.testimony import WitnessMemory

RETAINED_SHARE = 0.5
"""Share of `retained_bytes_max` above which the source's retained WAL is a trouble."""
WITNESS_LATE = timedelta(minutes=5)
"""How far a witness, which remembers once a minute, may be behind a target's cut."""
CLOCK_AHEAD = timedelta(minutes=5)
"""How far the newest cut's time may be ahead of this machine's clock."""
STREAM_LATE = timedelta(minutes=1)
"""Age above which the change stream in the log is late."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong."""

    what: str
    remedy: str = ""
    """A verb with its arguments; empty: no command does it."""

    def typed(self) -> str:
        """Return the command against it, for any configuration; empty: no command helps."""
        return f"replicator {self.remedy}" if self.remedy else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one `status` has seen."""

    life: LifeSigns
    source: SourceStatus
    log: LogStatus
    targets: Sequence[TargetStatus]
    failures: Mapping[str, ReplicatorError]
    """Targets that could not be looked at."""

    @property
    def is_overdue(self) -> bool:
        """Whether the last poll is older than the promise allows."""
        return self.life.is_overdue(self.targets)

    @property
    def is_poll_unknown(self) -> bool:
        """Whether it is unknown when the source was polled: the log that says so is unreachable."""
        return bool(self.log.unknown) and self.life.last_poll is None

    @property
    def may_start(self) -> bool:
        """Whether a start of the watcher can go well: a log that was moved away refuses it."""
        return not isinstance(self.log.failure, ConfigError)

    @property
    def keeps_promises(self) -> bool:
        """Whether all promises are kept, as far as targets could be looked at."""
        return not self.is_overdue and all(found.keeps_promise for found in self.targets)


def troubles(seen: Seen) -> list[Trouble]:
    """Return what is wrong, the worst first."""
    return [
        *_halted(seen.life),
        *_of_log_itself(seen.log),
        *_of_all(seen),
        *_unlogged(seen.life),
        *_of_the_clock(seen),
        *_log_gone(seen),
        *_failures(seen),
        *(t for f in seen.targets for t in _of(f, seen)),
    ]


def _of_log_itself(log: LogStatus) -> Iterator[Trouble]:
    if log.unknown:
        yield Trouble(f"the log cannot be read: {log.unknown}", "check")
    if (threat := log.threat) is not None:
        yield Trouble(f"{threat.what}: {threat.remedy}")


def _of_all(seen: Seen) -> Iterator[Trouble]:
    if seen.is_overdue and seen.is_poll_unknown:  # a `run` that was typed could fence a good one
        yield Trouble(
            "the log cannot be read, so it is not known whether a watcher runs and when it"
            " polled the source"
        )
    elif seen.is_overdue:
        yield _silence(seen)
    elif seen.may_start and (left := seen.life.left(seen.targets)) and seen.life.watcher.is_away:
        yield _away("no watcher is running", seen.life.watcher, seen.life, left)
    if seen.source.freshness is None:
        yield Trouble(f"the source cannot be polled: {seen.source.unknown}", "check")
    elif not seen.is_overdue and (why := _waits(seen.life.watcher)):
        yield Trouble(f"the watcher waits: {why}", "check")
    if (stream := seen.life.stream) is not None:
        yield from _of_the_stream(stream, seen.life)


def _unlogged(life: LifeSigns) -> Iterator[Trouble]:
    """Name the processes whose log lines are lost: nobody would miss them there."""
    signs = [one for one in (life.watcher, *life.appliers.values()) if one.life is Life.RUNNING]
    pulses = [one.pulse for one in signs if one.pulse is not None and one.pulse.unlogged]
    for process, why in {one.process: one.unlogged for one in pulses}.items():
        yield Trouble(
            f"{process}, works, but cannot write its log: {why}; see where its standard error"
            " leads, and start it again if that reader has ended"
        )


def _of_the_clock(seen: Seen) -> Iterator[Trouble]:
    """Name a clock that was wrong once: the times of cuts never go back, so later ones keep it."""
    if (last := seen.log.last) is None:
        return
    ahead = last.closed.source_time - seen.life.looked_at
    if ahead > CLOCK_AHEAD:
        yield Trouble(
            f"the newest cut's time is {duration_text(ahead)} ahead of this machine's clock: the"
            " source's clock was wrong, or this one is; until they agree again no lag is seen, and"
            " a target with a delay waits that much longer"
        )


def _of_the_stream(stream: StreamPulse, life: LifeSigns) -> Iterator[Trouble]:
    if stream.off:
        yield Trouble(
            f"the source is polled since {moment(stream.since)}, and has a change stream:"
            f" {stream.off}",
            "check",
        )
    if stream.retained_bytes > RETAINED_SHARE * stream.retained_bytes_max:
        yield Trouble(
            f"the source keeps {size_text(stream.retained_bytes)} of WAL for the change stream;"
            f" the watcher drops it at {size_text(stream.retained_bytes_max)}",
            "check",
        )
    if not stream.off and stream.told_until is not None:
        behind = life.looked_at - stream.told_until
        if behind > STREAM_LATE:
            yield Trouble(
                f"the change stream is {duration_text(behind)} behind:"
                f" {size_text(stream.behind_bytes)} of the source's WAL are to be read",
                "check",
            )


def _away(what: str, sign: LifeSign, life: LifeSigns, left: timedelta) -> Trouble:
    """Say that a process is not running whose promise is not broken yet."""
    pulse = sign.pulse
    assert pulse is not None  # noqa: S101 - it was seen
    ended = "was stopped" if sign.life is Life.STOPPED else "was last seen"
    return Trouble(
        f"{what}: {_who(sign)} {ended} {_ago(life, pulse.seen_at)}; the promise breaks"
        f" {within(left)}",
        pulse.verb,
    )


def _silence(seen: Seen) -> Trouble:
    """Say since when the source is not polled, and what became of the watcher."""
    life = seen.life
    polled = life.last_poll
    since = (
        "no watcher has ever polled the source"
        if polled is None
        else f"no watcher has polled the source since {moment(polled)}, {_ago(life, polled)}"
    )
    pulse, verb = life.watcher.pulse, "run"
    if not seen.may_start:
        return Trouble(since)
    if pulse is None:
        return Trouble(since, verb)
    if life.is_starting and not pulse.waits:
        started = f"{_who(life.watcher)} was started {_ago(life, pulse.since)} and polls now"
        return Trouble(f"{since}; {started}")
    if life.watcher.life is Life.RUNNING:
        why = f": it waits for {pulse.waits}" if pulse.waits else ""
        return Trouble(f"{since}; {_who(life.watcher)} is running{why}", "check")
    verb = pulse.verb
    if pulse.ended_at is not None:
        return Trouble(f"{since}; {_who(life.watcher)} was stopped then", verb)
    last = f"{_ago(life, pulse.seen_at)} for the last time"
    return Trouble(f"{since}; {_who(life.watcher)} was seen {last}", verb)


def _failures(seen: Seen) -> Iterator[Trouble]:
    for name, error in sorted(seen.failures.items()):
        hint = error.hint if error.hint != type(error).hint else ""
        what = f"{name} cannot be looked at: {error}" + (f"; {hint}" if hint else "")
        yield Trouble(what, "" if "`replicator" in hint else "check")


def _halts(sign: LifeSign) -> Sequence[HaltedService]:
    """Return what has halted in a process that runs, each reason once."""
    if sign.pulse is None or sign.life is not Life.RUNNING:
        return ()
    return list({halt.reason: halt for halt in reversed(sign.pulse.halts)}.values())[::-1]


def _halted(life: LifeSigns) -> Iterator[Trouble]:
    for halt in _halts(life.watcher):
        yield _halt("the watcher", halt, life)
    for name, applier in sorted(life.appliers.items()):
        for halt in _halts(applier):
            yield _halt(name, halt, life, target=name)


def _halt(name: str, halt: HaltedService, life: LifeSigns, *, target: str = "TARGET") -> Trouble:
    """Say what halts a service; what it tells to do comes with the error, and names the target."""
    hint = halt.hint.replace("TARGET", target)
    what = (
        f"{name} has halted {_ago(life, halt.since)} ({halt.what}): {halt.reason}"
        + (f"; {hint}" if hint else "")
        + f"; everything else goes on, and it looks again each {duration_text(halt.retry)}"
    )
    return Trouble(what, "" if "`replicator" in hint else "check")


def _of(found: TargetStatus, seen: Seen) -> Iterator[Trouble]:
    broken, promises, name = found.broken, found.promises, found.target
    yield from _of_the_log(found, seen.log)
    yield from _of_following(found, seen)
    if KILL_MARGIN in broken:
        yield Trouble(
            f"{name}: {kill_words(found)}, and at least"
            f" {duration_text(promises.kill_margin_min)} is promised",
            f"apply {name} --once",
        )
    if LOG_MARGIN in broken and not found.trimmed and found.log_margin is not None:
        yield Trouble(
            f"{name}: the log may trim what it needs {within(found.log_margin)}, and at least"
            f" {duration_text(promises.log_margin_min)} is promised",
            f"apply {name} --once",
        )
    if DRILL in broken and promises.drill is not None:
        yield Trouble(
            f"{name}: a good drill each {duration_text(promises.drill)} is promised, and"
            f" {drill_words(found)}",
            f"drill {name}",
        )
    elif found.drilled.last is not None and not found.drilled.last.is_good:
        yield Trouble(f"{name}: its newest drill failed", f"drill list {name}")
    yield from _of_the_store(found)
    if found.gaps:
        rows = "1 row has a gap" if len(found.gaps) == 1 else f"{len(found.gaps)} rows have gaps"
        helps = any(gap.reason in MENDABLE for gap in found.gaps) and not _is_promoted(found)
        yield Trouble(
            f"{name}: {rows}: {found.gaps[0].words}: {found.gaps[0].reason}",
            f"repair {name}" if helps else "points",
        )


def _is_promoted(found: TargetStatus) -> bool:
    """Return whether a target is a primary of its own, to which nothing is written any more."""
    return found.checkpoint is not None and found.checkpoint.promoted


def _of_the_store(found: TargetStatus) -> Iterator[Trouble]:
    """Say what a `verify` found wrong in a target, and what its witness cannot vouch for."""
    name = found.target
    if (bad := found.known_bad) is not None and not _is_promoted(found):
        deep = " --structure" if bad.structure else ""
        yield Trouble(
            f"{name}: `verify` found {counted(bad.findings, 'difference')} at level {bad.level}"
            f" {age_text(found.looked_at - bad.proved_at)}; after a repair, verify again{deep}",
            f"repair {name}{deep}"
            if bad.level in OF_OBJECTS
            else f"verify {name} --level {bad.level}",
        )
    if found.lacks_store_id and not _is_promoted(found):
        yield Trouble(
            f"{name}: its store has lost `store.json`, which tells it from another one; find out"
            " what deletes files there",
            f"repair {name}",
        )
    if found.unread:
        yield Trouble(f"{name}: results of `verify` cannot be read: {found.unread}", "check")
    if (memory := found.memory) is not None:
        yield from _of_the_witness(found, memory)


def _of_the_witness(found: TargetStatus, memory: WitnessMemory) -> Iterator[Trouble]:
    """Say that a witness is away, or behind: what it does not remember can be put back unseen."""
    name, head, checkpoint = found.target, memory.head, found.checkpoint
    refused = f"until then a restore from the store of {name} is refused, or goes without it"
    if memory.unknown:
        what = f"{name}: {memory.witness} cannot be read: {memory.unknown}; {refused}"
        yield Trouble(what, "check")
    elif head is None:
        what = f"{name}: {memory.witness} remembers nothing of its log; {refused}"
        yield Trouble(what, f"apply {name} --once")
    elif checkpoint is not None:
        behind = checkpoint.source_time - head.source_time
        if head.offset < checkpoint.offset and behind > WITNESS_LATE:
            yield Trouble(
                f"{name}: {memory.witness} remembers {head.words}, {duration_text(behind)} before"
                " the cut that the target is at: a store that was put back to that would pass",
                f"apply {name} --once",
            )


def _of_following(found: TargetStatus, seen: Seen) -> Iterator[Trouble]:
    """Say that a target is late, or will be, because no applier writes to it."""
    name, applier = found.target, seen.life.appliers.get(found.target)
    if RPO in found.broken:
        if not (found.log_gone or found.other_log or found.cut_short):
            yield _lag(found, seen)
    elif applier is not None and _is_missed(found, applier, seen):
        left = found.promises.rpo - (found.lag or timedelta(0))
        gone = _away(f"{name}: no applier is running", applier, seen.life, left)
        yield Trouble(gone.what, sign_remedy(applier, name))
    elif applier is not None and (why := _waits(applier)):
        yield Trouble(f"{name} waits: {why}", "check")


def _waits(sign: LifeSign) -> str:
    """Return what a running process waits for, long before a promise breaks; empty: it works."""
    if sign.pulse is None or sign.life is not Life.RUNNING or sign.pulse.halts:
        return ""
    return sign.pulse.waits


def _is_missed(found: TargetStatus, applier: LifeSign, seen: Seen) -> bool:
    """Return whether an applier is missing for another reason than the watcher's absence."""
    checkpoint, watcher = found.checkpoint, seen.life.watcher
    if checkpoint is None or checkpoint.paused or checkpoint.promoted or not applier.is_away:
        return False
    if found.log_gone or found.other_log or applier.pulse is None or not seen.may_start:
        return False
    return not (watcher.is_away and watcher.pulse and watcher.pulse.is_of(applier.pulse))


def _lag(found: TargetStatus, seen: Seen) -> Trouble:
    name, promised = found.target, duration_text(found.promises.rpo)
    behind = "has no cut yet" if found.lag is None else f"is {duration_text(found.lag)} behind"
    what = f"{name} {behind}, and at most {promised} is promised"
    if seen.log.unknown:
        return Trouble(f"{what}: the log cannot be read, so it is not known what it lacks")
    if seen.is_overdue and not found.lag_records:
        return Trouble(f"{what}: it has all that the log has")
    if found.lag is None and seen.life.is_starting:
        return Trouble(f"{what}: the watcher was just started and polls now")
    sign = seen.life.appliers.get(name)
    if sign is None or sign.pulse is None:
        return Trouble(what, "run")
    if sign.life is Life.RUNNING:
        return _lag_of_running(what, sign.pulse)
    return Trouble(f"{what}: {_who(sign)} is not running", sign_remedy(sign, name))


def _lag_of_running(what: str, pulse: Pulse) -> Trouble:
    if pulse.halts:
        return Trouble(f"{what}: it has halted, see above")
    why = pulse.waits
    return Trouble(f"{what}: it waits for {why}" if why else what, "check" if why else "")


def sign_remedy(sign: LifeSign, target: str) -> str:
    """Return the verb that starts an applier again, as it was started."""
    verb = sign.pulse.verb if sign.pulse is not None else "run"
    if verb.startswith("apply"):
        return f"apply {target}{verb.removeprefix('apply')}"
    return "run"


def _log_gone(seen: Seen) -> Iterator[Trouble]:
    """Say that the log is away, once for all that follow it; no command brings it back.

    A new log is the last resort: typed while the old one is merely not mounted, it parts the two.
    """
    gone = [found for found in seen.targets if found.log_gone]
    if not gone:
        return
    follow = "it follows" if len(gone) == 1 else "they follow"
    over = "; ".join(f"`replicator {_goes_over(one)}`" for one in gone)
    yield Trouble(
        f"{enumerated([one.target for one in gone])}: the log that {follow} is not there:"
        f" {seen.log.missing}. Only if it is lost for good, let a watcher make a new one, and go"
        f" over to that: {over}"
    )


def _goes_over(found: TargetStatus) -> str:
    is_paused = found.checkpoint is not None and found.checkpoint.paused
    return f"apply {found.target} {'--resume ' if is_paused else ''}--new-log"


def _of_the_log(found: TargetStatus, log: LogStatus) -> Iterator[Trouble]:
    name = found.target
    if found.other_log:
        yield Trouble(
            f"{name} follows another log; if that is lost, this goes over to the present one:",
            _goes_over(found),
        )
    elif found.cut_short and found.checkpoint is not None:
        yield Trouble(
            f"{name} is at offset {found.checkpoint.offset}, and the log ends at"
            f" {log.first + log.records}: it was put back to an older copy, or has lost records."
            " Put its newest copy back; if there is none, move the log away, so that a watcher"
            f" makes a new one, and go over to that: `replicator {_goes_over(found)}`"
        )
    elif found.trimmed:
        yield Trouble(
            f"{name}: the log begins at offset {log.first}: what it needs was trimmed;"
            f" {GapError.beyond_hole}"
        )


def kill_words(found: TargetStatus) -> str:
    """Return in words when the source's kill could delete bytes that are not copied yet."""
    margins = found.pending.kill_margins if found.pending else {}
    if not margins:
        return "the source's kill can take nothing that is not copied"
    nearest, margin = min(margins.items(), key=lambda item: item[1])
    soon = within(margin)
    return f"bytes of {nearest} are not copied yet; the source's kill could delete them {soon}"


def drill_words(found: TargetStatus) -> str:
    """Return in words how old the last good drill is."""
    drilled = found.drilled
    if drilled.unknown is not None:
        return f"its drills cannot be looked at: {drilled.unknown}"
    if drilled.last_good is None:
        text = "no drill has succeeded yet"
    else:
        ago = age_text(found.looked_at - drilled.last_good.ended_at)
        text = f"the last good drill ended {ago}"
    if drilled.last is not None and not drilled.last.is_good:
        text += "; the last one went wrong, see `replicator drill list`"
    return text


def within(margin: timedelta) -> str:
    """Return in words how soon something can happen."""
    return "at any moment" if margin <= timedelta(0) else f"in {duration_text(margin)}"


def _who(sign: LifeSign) -> str:
    pulse = sign.pulse
    return "it" if pulse is None else f"{pulse.process},"


def _ago(life: LifeSigns, time: datetime) -> str:
    return age_text(life.looked_at - time)
