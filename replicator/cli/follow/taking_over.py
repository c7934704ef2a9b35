"""The question before a start takes work over from another process."""

import sys
from collections.abc import Sequence

from replicator.cli.command import OpenCall, agree
from replicator.cli.terminal.console import paper
from replicator.model.operations.words import age_text


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
    others = await application.others(who)
    if not others:
        return
    now = application.clock.now()
    if not call.as_json:
        for pulse in others:
            seen = age_text(now - pulse.seen_at)
            paper().print(f"{pulse.process}, does this work, and was seen {seen}")
        paper().print("this one takes it over, and that one ends with code 7")
    agree(application.source_name, yes=False, doing="a takeover", what="source to take over")
