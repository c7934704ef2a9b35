"""The progress bars of a terminal; imported with the first progress, which `status` never makes."""

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from replicator.cli.terminal.console import Paper


class _RateColumn(ProgressColumn):
    """The recent rate, per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


def bars(console: Paper) -> Progress:
    """Return bars that are not drawn yet."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}  {task.fields[copied]}", markup=False),
        _RateColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
