"""`check`: a real round trip through everything, before anything depends on it."""

from collections.abc import Sequence

from rich.console import Console

from replicator.app import Application
from replicator.app.verbs.privacy import open_to_others
from replicator.cli.command import OpenCall, Outcome
from replicator.cli.terminal.commands_said import Said
from replicator.cli.terminal.findings import show_findings
from replicator.cli.verb import verb
from replicator.errors import ReplicatorError
from replicator.services.checkup.checkup import Checkup, try_target
from replicator.services.checkup.finding import Finding
from replicator.services.checkup.trials import try_witness
from replicator.services.standby.skew import Skew


@verb("check")
async def check(call: OpenCall) -> Outcome:
    """Read the source, the log and an object of each kind; copy an object to each target."""
    application = call.application
    checkup = None if application.settings.source is None else application.checkup()
    findings = list[Finding]()
    if checkup is not None:
        findings += [*await checkup.source(), *await checkup.log()]
    for name in application.target_names:
        findings += await _target(application, checkup, name)
    findings += _exposed(application)
    said = call.typed.said
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
        show=lambda console: _show(console, findings, said, runs=checkup is not None),
        exit_code=0 if all(found.good for found in findings) else 1,
    )


def _exposed(application: Application) -> list[Finding]:
    """Name files of ours that hold what Druid's tables hold, and that others can read."""
    return [
        Finding(
            what="privacy",
            good=True,
            note=True,
            detail=f"other users of this machine can read {path}",
            hint=f"`chmod -R go= {path}`",
        )
        for path in open_to_others(application.settings, application.target_names)
    ]


async def _target(application: Application, checkup: Checkup | None, name: str) -> list[Finding]:
    target, settings = application.target(name), application.settings
    has_rows = target.settings.metadata is not None
    source = None if settings.source is None else settings.source.name
    found = await try_target(
        name, target.metadata, target.plain_storage, source=source, has_rows=has_rows
    )
    if target.witness is not None:
        writes = target.signatures is not None and target.signatures.can_sign
        found += await try_witness(name, target.witness, writes=writes)
    if checkup is None:
        return found
    if all(one.good for one in found):
        found += await checkup.left_out(name, target.metadata) if has_rows else []
        found += await checkup.copies(application.copy_trial(name))
    return [*found, *(await _releases(application, name) if has_rows else [])]


def _show(console: Console, findings: Sequence[Finding], said: Said, *, runs: bool) -> None:
    show_findings(console, findings)
    if runs and all(one.good for one in findings):
        console.print(f"next: {said.command('run')}", markup=False)


async def _releases(application: Application, name: str) -> list[Finding]:
    """Say which releases the two Druids run, and what the target is too old for."""
    what = f"target {name} Druid"
    try:
        skew = await application.skew(name)
    except ReplicatorError as exc:
        return [Finding(what=what, good=False, detail=str(exc), hint=exc.hint)]
    return [
        *_which(what, skew, name),
        *(Finding(what=what, good=not one.loses, note=True, detail=one.text) for one in skew.found),
        *(
            Finding(what=what, good=one.good, note=True, detail=one.text, hint=one.hint)
            for one in application.folders(name, skew)
        ),
    ]


def _which(what: str, skew: Skew, name: str) -> list[Finding]:
    if skew.target is None:
        hint = f"say targets.{name}.druid.coordinator_url, or targets.{name}.druid_release"
        detail = "its release is not known: rows are carried as they are"
        return [Finding(what=what, good=True, note=True, detail=detail, hint=hint)]
    source = "not known" if skew.source is None else skew.source.text
    detail = f"release {skew.target.text}, the source's is {source}"
    return [Finding(what=what, good=True, note=skew.is_older, detail=detail)]
