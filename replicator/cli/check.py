"""`check`: a real round trip through everything, before anything depends on it."""

from rich.console import Console

from replicator.app import Application
from replicator.cli.command import DEFAULT_CONFIG, AsJson, Call, ConfigPath, Outcome, Overrides, run
from replicator.cli.console import Screen
from replicator.services.inspection.checkup import Finding


def check(
    config: ConfigPath = DEFAULT_CONFIG, set_: Overrides = None, as_json: AsJson = False
) -> None:
    """Read the source, the log and an object of each kind; write a probe to each target."""

    async def body(application: Application, _: Screen) -> Outcome:
        checkup = application.checkup()
        findings = [*await checkup.source(), *await checkup.log()]
        for name in application.target_names:
            target = application.target(name)
            findings += await checkup.target(name, target.metadata, target.storage)
        return Outcome(
            result={
                "findings": [
                    {"what": f.what, "good": f.good, "detail": f.detail, "hint": f.hint}
                    for f in findings
                ]
            },
            show=lambda console: _show(console, findings),
            exit_code=0 if all(found.good for found in findings) else 1,
        )

    call = Call(command="check", config_path=config, overrides=tuple(set_ or ()), as_json=as_json)
    run(call, body)


def _show(console: Console, findings: list[Finding]) -> None:
    for found in findings:
        mark = "[green]good[/]" if found.good else "[red]BAD [/]"
        console.print(f"{mark}  {found.what}: ", end="")
        console.print(found.detail, markup=False)
        if not found.good and found.hint:
            console.print(f"      {found.hint}", markup=False)
