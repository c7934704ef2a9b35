"""The summary of `blame`: what happened, by whom, where the bytes are, and how to undo it."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicator.app import Application
from replicator.cli.go_back.commands import way_back
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.errors import NotFoundError, RefusedError, ReplicatorError
from replicator.model.event import Offset
from replicator.model.observation import Observer
from replicator.model.operations.clocks import CLOCK_SKEW_MAX
from replicator.model.operations.words import whole_time
from replicator.model.row import AuditRow
from replicator.model.timestamps import time_of
from replicator.services.inspection.happenings import Happening, happenings

SHOWN_MAX = 5
"""Number of destructive cuts that the summary lists, the newest ones."""
CUTS_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What happened, and how to undo it."""

    lines: Sequence[str]
    undo: Sequence[str]
    """Commands that restore the datasource, one for each target; empty if none can or need to."""


async def summary(
    application: Application,
    datasource: str,
    audit: Sequence[AuditRow],
    *,
    printed: PrintedCommands,
    observer: Observer,
) -> Summary:
    """Return what happened last to a datasource's segments, and the commands that restore them."""
    history = application.history
    found = await happenings(history, limit=CUTS_MAX, observer=observer, datasource=datasource)
    harm = [one for one in found if one.does_harm][-SHOWN_MAX:]
    if not harm:
        nothing = f"{datasource}: none of its segments was marked unused or removed"
        return Summary(lines=[nothing], undo=())
    lines = [_line(one, audit) for one in harm]
    wanted = await _cut_to_go_back_to(application, datasource, harm)
    if wanted is None:
        return Summary(lines=lines, undo=())
    held, missing = await _holders(application, wanted)
    where = f"its bytes are on {' and '.join(held)}" if held else "no target's store has its bytes"
    lines.append(f"{where}, as they were at offset {wanted}")
    lines += [f"{name} cannot be read: {why}" for name, why in missing.items()]
    undo = _undo(application, datasource, wanted, held)
    return Summary(lines=lines, undo=[printed.command(one) for one in undo])


def _line(one: Happening, audit: Sequence[AuditRow]) -> str:
    who = "; ".join(_author(row) for row in audit if _fits(row, one))
    by = f", by {who}" if who else ""
    return f"{one.words} at {whole_time(one.cut.closed.source_time)}, cut {one.cut.closed.cut}{by}"


def _author(row: AuditRow) -> str:
    return f"{row.author or 'an unknown user'}" + (f" ({row.comment})" if row.comment else "")


def _fits(row: AuditRow, one: Happening) -> bool:
    """Return whether an audit row lies between a cut and the cut before it."""
    if (requested_at := time_of(row.created_date)) is None:
        return False
    since = one.after.closed.source_time if one.after else requested_at
    return since - CLOCK_SKEW_MAX <= requested_at <= one.cut.closed.source_time + CLOCK_SKEW_MAX


async def _cut_to_go_back_to(
    application: Application, datasource: str, harm: Sequence[Happening]
) -> Offset | None:
    """Return the cut to restore: before a drop, or before the last destructive cut."""
    try:
        return (await application.undeletion().dropped(datasource)).last.cut.offset
    except (NotFoundError, RefusedError):
        after = harm[-1].after
        return None if after is None else after.offset


async def _holders(application: Application, offset: Offset) -> tuple[list[str], dict[str, str]]:
    """Return the targets whose stores can restore a cut, and those that cannot be read."""
    log_id, held, missing = (await application.history.span()).log_id, [], {}
    for name in application.target_names:
        try:
            found = await application.windows(name, log_id)
        except ReplicatorError as exc:
            missing[name] = str(exc)
            continue
        if offset >= found.horizon and any(
            one.first.offset <= offset <= one.last.offset for one in found.windows
        ):
            held.append(name)
    return held, missing


def _undo(
    application: Application, datasource: str, offset: Offset, held: Sequence[str]
) -> list[str]:
    """Return the verbs that restore the datasource, in the easiest way for each target."""
    targets = application.settings.targets
    in_place = [one for one in held if targets[one].metadata is not None]
    return [way_back(application.settings, one, datasource, offset) for one in in_place or held]


def undo_lines(found: Summary) -> list[str]:
    """Return the last lines of the summary, with the commands that undo the loss."""
    if not found.undo:
        return []
    return [
        f"to undo it, type {'one of' if len(found.undo) > 1 else ''}".rstrip() + ":",
        *(f"  {command}" for command in found.undo),
    ]
