"""`config validate` and `config print`."""

import json

import typer
from rich.console import Console

from replicator import config as configuration
from replicator.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    Call,
    ConfigPath,
    Outcome,
    Overrides,
    finish,
    parse_overrides,
)

app = typer.Typer(help="Look at the configuration without doing anything.", no_args_is_help=True)


@app.command()
def validate(
    config: ConfigPath = DEFAULT_CONFIG, set_: Overrides = None, as_json: AsJson = False
) -> None:
    """Read the configuration strictly and say what is wrong with it."""
    call = Call(
        command="config validate", config_path=config, overrides=tuple(set_ or ()), as_json=as_json
    )

    def work() -> Outcome:
        settings = call.settings()
        source = "no source" if settings.source is None else f"source {settings.source.name}"
        text = f"{config} is good: {source}, targets " + (
            ", ".join(sorted(settings.targets)) or "none"
        )
        return Outcome(
            result={"valid": True, "targets": sorted(settings.targets)},
            show=lambda console: console.print(text, markup=False),
        )

    finish(call, work)


@app.command("print")
def print_(
    config: ConfigPath = DEFAULT_CONFIG, set_: Overrides = None, as_json: AsJson = False
) -> None:
    """Print every setting with its value and where it comes from; secrets are not part of it."""
    call = Call(
        command="config print", config_path=config, overrides=tuple(set_ or ()), as_json=as_json
    )

    def work() -> Outcome:
        found = configuration.explain(config, call.environ, parse_overrides(call.overrides))
        return Outcome(
            result={
                "settings": [
                    {"key": s.key, "value": s.value, "origin": s.origin.value, "place": s.place}
                    for s in found
                ]
            },
            show=lambda console: _show(console, found),
        )

    finish(call, work)


def _show(console: Console, found: list[configuration.Explained]) -> None:
    width = max(len(setting.key) for setting in found)
    for setting in found:
        origin = f"{setting.origin.value} {setting.place}".strip()
        console.print(
            f"{setting.key:<{width}}  {json.dumps(setting.value, default=str)}  # {origin}",
            markup=False,
        )
