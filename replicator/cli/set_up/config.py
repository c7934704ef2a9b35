"""`config validate` and `config print`."""

import json

import typer
from rich.console import Console

from replicator import config as configuration
from replicator.cli.command import Call, Changes, Outcome
from replicator.cli.terminal.typed import parse_overrides
from replicator.cli.verb import local_verb

app = typer.Typer(help="Check or print the configuration.", no_args_is_help=True)


@app.command()
@local_verb("config validate", changes=Changes.NEVER)
def validate(call: Call) -> Outcome:
    """Check the configuration strictly and print what is wrong with it."""
    settings = call.settings()
    source = "no source" if settings.source is None else f"source {settings.source.name}"
    text = f"{call.config_path} is good: {source}, targets " + (
        ", ".join(sorted(settings.targets)) or "none"
    )
    return Outcome(
        result={"valid": True, "targets": sorted(settings.targets)},
        show=lambda console: console.print(text, markup=False),
    )


@app.command("print")
@local_verb("config print", changes=Changes.NEVER)
def print_(call: Call) -> Outcome:
    """Print every setting with its value and origin; secrets are not part of the configuration."""
    overrides = parse_overrides(call.overrides)
    found = configuration.explain(call.config_path, call.environ, overrides)
    return Outcome(
        result={
            "settings": [
                {"key": s.key, "value": s.value, "origin": s.origin.value, "place": s.place}
                for s in found
            ]
        },
        show=lambda console: _show(console, found),
    )


def _show(console: Console, found: list[configuration.Explained]) -> None:
    width = max(len(setting.key) for setting in found)
    for setting in found:
        origin = f"{setting.origin.value} {setting.place}".strip()
        console.print(
            f"{setting.key:<{width}}  {json.dumps(setting.value, default=str)}  # {origin}",
            markup=False,
        )
