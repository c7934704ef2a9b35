"""What a start does about another process that does the work: it waits for it, or asks first."""

import sys
from collections.abc import Sequence

from rich.console import Console

from replicator.cli.command import OpenCall, Outcome, agree
from replicator.cli.terminal.console import paper
from replicator.model.operations.pulse import WATCH
from replicator.model.operations.words import age_text
from replicator.services.history.reader import History
from replicator.services.running.processes import RunningProcesses


async def agree_to_take_over(call: OpenCall, who: Sequence[str], *, yes: bool) -> None:
    """Continue only if no process does this work, or if the operator agrees to end that process.

    Without a terminal it continues: a supervisor has restarted the process, on this machine or on
    another one, and the newer process takes over (`run --passive` waits instead).

    Args:
        call: The verb.
        who: The work, as heartbeats name it.
        yes: Whether the operator has agreed already.

    Raises:
        RefusedError: the operator did not agree.
    """
    if yes or not sys.stdin.isatty():
        return
    application = call.application
    others = await application.processes.others(who)
    if not others:
        return
    now = application.clock.now()
    if not call.as_json:
        for pulse in others:
            seen = age_text(now - pulse.seen_at)
            paper().print(f"{pulse.process}, does this work, and was seen {seen}")
        paper().print("this one takes it over, and that one ends with code 7")
    agree(application.source.name, yes=False, doing="a takeover", what="source to take over")


async def polled_by_another(
    running: RunningProcesses, history: History, timeout_s: float
) -> Outcome | None:
    """Wait until a running watcher has polled the source, and tell of it; None: none is heard.

    Two watchers of one log end one of them, and with a `run` all its targets and jobs.

    Raises:
        TransientError: no poll that began after this call ended within `timeout_s`.
    """
    if await running.heard(WATCH) is None:
        return None
    before = await history.last_cut()
    if (pulse := await running.poll_within(timeout_s)) is None:
        return None
    last = await history.last_cut()
    published = last is not None and (before is None or last.offset > before.offset)
    newest = "the log has no cut yet" if last is None else f"cut {last.closed.cut}"

    def show(console: Console) -> None:
        change = "" if published else ", no change"
        console.print(
            f"the running watcher has polled: {newest}{change} ({pulse.process})", markup=False
        )

    return Outcome(result={"published": published, "polled_by": pulse.process}, show=show)
