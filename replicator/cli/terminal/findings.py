"""Output of the results of trials, for `check` and `init`."""

from collections.abc import Iterable

from rich.console import Console

from replicator.cli.terminal.console import bad, good, note
from replicator.services.checkup.finding import Finding


def show_findings(console: Console, findings: Iterable[Finding]) -> None:
    """Print a line for each result, and the hint below each failure."""
    for found in findings:
        fine = note("note") if found.note else good("good")
        mark = fine if found.good else bad("BAD ")
        console.print(mark, f"  {found.what}: {found.detail}", sep="")
        if (found.note or not found.good) and found.hint:
            console.print(f"      {found.hint}", markup=False)
