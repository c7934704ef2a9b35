"""`check`: reads and writes every configured system once, before anything depends on it."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from rich.console import Console

from replicator.app import Application
from replicator.app.control_folder import control_folder
from replicator.app.signing import shared_keys
from replicator.app.verbs.ownership import LOOK_WITHIN_S, of_others
from replicator.app.verbs.privacy import open_to_others
from replicator.app.verbs.shared_stores import refuse_exchanged, refuse_shared
from replicator.cli.command import OpenCall, Outcome
from replicator.cli.terminal.findings import show_findings
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.cli.verb import verb
from replicator.errors import ConfigError, ReplicatorError, TransientError
from replicator.model.operations.words import enumerated
from replicator.services.checkup.checkup import Checkup, try_target
from replicator.services.checkup.finding import Finding, failed
from replicator.services.checkup.trials import try_witness
from replicator.services.standby.skew import Skew


@verb("check")
async def check(call: OpenCall) -> Outcome:
    """Read the source, the log and an object of each kind; copy an object to each target."""
    application = call.application
    checkup = None if application.settings.source is None else application.checkup()
    findings = list[Finding]()
    if checkup is not None:
        log = await checkup.log()  # the source's rows are compared with its contents
        findings += [*await checkup.source(), *await _exchanged(application), *log]
    for name in application.target_names:
        findings += await _target(application, checkup, name)
    findings += await _stores(application)
    findings += [*_services(application), *await _exposed(application)]
    findings += await _foreign(application)
    findings += _keys(application)
    printed = call.typed.printed
    return Outcome(
        result={
            "findings": [
                {
                    "what": f.what,
                    "good": f.good,
                    "note": f.note,
                    "detail": f.detail,
                    "hint": f.hint,
                }
                for f in findings
            ]
        },
        show=lambda console: _show(console, findings, printed, runs=checkup is not None),
        exit_code=0 if all(found.good for found in findings) else 1,
    )


async def _exchanged(application: Application) -> list[Finding]:
    try:
        await refuse_exchanged(application)
    except ConfigError as exc:
        return [failed("source metadata", exc)]
    except ReplicatorError:
        return []  # of the same store, which is reported as unreachable
    return []


async def _stores(application: Application) -> list[Finding]:
    try:
        await refuse_shared(application)
    except ConfigError as exc:
        return [failed("targets' stores", exc)]
    return []


def _keys(application: Application) -> list[Finding]:
    """Name keys of several targets: who writes to two of their stores can exchange the files."""
    rules = {name: application.target(name).signatures for name in application.target_names}
    return [
        Finding(
            what="signing",
            good=True,
            note=True,
            detail=f"targets {enumerated(one.targets)} trust the same key {one.key_id}: a signed"
            " file of one is valid in the store of each",
            hint="give each target keys of its own (docs/archive.md#signed-files)",
        )
        for one in shared_keys(rules)
    ]


def _services(application: Application) -> Iterator[Finding]:
    """Create the services beside the pipeline, so that each of their secrets and files is read."""
    settings = application.settings
    if (notifications := settings.notifications) is not None:
        notifying = application.notifying()
        for name in notifications.webhooks:
            yield from _made(f"webhook {name}", partial(notifying.sender, name))
        if (switch := notifications.dead_mans_switch) is not None:
            yield from _made("dead man's switch", partial(notifying.switch_caller, switch))
    if settings.canary is not None:
        yield from _made("canary", partial(application.canary, application.target_names))
    if settings.web is not None and (control := settings.web.control) is not None:
        from replicator.control.access.tls import Certificates  # noqa: PLC0415 - few have it

        yield from _made("control API", partial(control_folder, settings))
        if control.tls is not None:
            yield from _made("control API", partial(Certificates, control.tls))


def _made(what: str, make: Callable[[], object]) -> Iterator[Finding]:
    try:
        make()
    except ConfigError as exc:
        yield failed(what, exc)


async def _exposed(application: Application) -> list[Finding]:
    """Return own files with contents of Druid's tables that other users can read."""
    return [
        Finding(
            what="privacy",
            good=True,
            note=True,
            detail=f"other users of this machine can read {path}",
            hint=f"`chmod -R go= {path}`",
        )
        for path in await open_to_others(application.settings, application.target_names)
    ]


async def _foreign(application: Application) -> list[Finding]:
    """Return files of root or another user in the folders of this service."""
    found, silent = await of_others(application.settings, application.target_names)
    return [
        Finding(
            what="ownership",
            good=False,
            detail=f"{one.first} belongs to {one.owner}, and {one.user} cannot use it"
            + (f"; {one.count - 1} more are like it" if one.count > 1 else ""),
            hint=f"`chown -R {one.user} {shlex.quote(str(one.first))}`; type verbs as that user",
        )
        for one in found
    ] + [
        Finding(
            what="ownership",
            good=False,
            detail=f"{place} did not answer within {LOOK_WITHIN_S:g} s",
            hint="look for a mount or a disk that hangs",
        )
        for place in silent
    ]


async def _target(application: Application, checkup: Checkup | None, name: str) -> list[Finding]:
    target, settings = application.target(name), application.settings
    has_rows = target.settings.metadata is not None
    source = None if settings.source is None else settings.source.name
    found = await try_target(
        name,
        target.metadata,
        target.plain_storage,
        target.area(),
        source=source,
        reports=None if settings.log is None else application.history,
        has_rows=has_rows,
    )
    if target.witness is not None:
        writes = target.signatures is not None and target.signatures.can_sign
        found += await try_witness(name, target.witness, writes=writes)
    if checkup is None:
        return found
    if all(one.good for one in found):
        found += checkup.followed(name, await application.checkpoint(name))
        found += await checkup.left_out(name, target.metadata) if has_rows else []
        found += await checkup.copies(application.copy_trial(name))
    return [*found, *(await _releases(application, name) if has_rows else [])]


def _show(
    console: Console, findings: Sequence[Finding], printed: PrintedCommands, *, runs: bool
) -> None:
    show_findings(console, findings)
    if runs and all(one.good for one in findings):
        console.print(f"next: {printed.command('run')}", markup=False)


async def _releases(application: Application, name: str) -> list[Finding]:
    """Return the releases of both Druids, and the features for which the target is too old."""
    what = f"target {name} Druid"
    try:
        away = await application.standbys.druid_away(name)
        skew = await application.standbys.skew(name)
    except ReplicatorError as exc:
        return [Finding(what=what, good=False, detail=str(exc), hint=exc.hint)]
    return [
        *_which(what, skew, name, away),
        *(Finding(what=what, good=not one.loses, note=True, detail=one.text) for one in skew.found),
        *(
            Finding(what=what, good=one.good, note=True, detail=one.text, hint=one.hint)
            for one in application.standbys.folders(name, skew)
        ),
    ]


def _which(
    what: str, skew: Skew, name: str, away: TransientError | ConfigError | None
) -> list[Finding]:
    if away is not None:
        return [_silent(what, skew, name, away)]
    if skew.target is None:
        hint = f"set targets.{name}.druid.coordinator_url, or targets.{name}.druid_release"
        detail = "its release is unknown: rows are replicated unchanged"
        return [Finding(what=what, good=True, note=True, detail=detail, hint=hint)]
    source = "not known" if skew.source is None else skew.source.text
    detail = f"release {skew.target.text}, the source's is {source}"
    return [Finding(what=what, good=True, note=skew.is_older, detail=detail)]


def _silent(what: str, skew: Skew, name: str, away: TransientError | ConfigError) -> Finding:
    """Return the finding for a configured Druid that does not answer.

    A standby's Druid need not run once its release is known; a refusal is a fault.
    """
    setting = f"targets.{name}.druid.coordinator_url"
    is_down = isinstance(away, TransientError)
    detail = f"its Coordinator cannot be {'reached' if is_down else 'queried'}: {away}; "
    if skew.target is None:
        detail += "its release is not known"
        hint = f"correct {setting}, start that Druid, or set targets.{name}.druid_release"
        return Finding(what=what, good=False, detail=detail, hint=hint)
    detail += f"rows are written for release {skew.target.text}, as it said before or is configured"
    hint = f"if that Druid runs, correct {setting}" if is_down else away.hint
    return Finding(what=what, good=is_down, note=True, detail=detail, hint=hint)
