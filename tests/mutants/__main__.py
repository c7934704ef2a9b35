"""`python -m tests.mutants [NAME...]`: whether the tests catch the planted bugs."""

import argparse
import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.mutants.catalogue import MUTANTS
from tests.mutants.run import GOOD, PROJECT, Outcome, Verdict, run_all, write_report


def main() -> int:
    """Run the mutants that are named, or all; 1 when one of them is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", default=["*"], help="names, with * for anything")
    parser.add_argument("--workers", type=int, default=int(os.environ.get("WORKERS", "2")))
    parser.add_argument("--report", type=Path, default=PROJECT / "mutants.json")
    given = parser.parse_args()
    chosen = [m for m in MUTANTS if any(fnmatchcase(m.name, name) for name in given.names)]
    if not chosen:
        parser.error("no mutant is called so")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        outcomes = asyncio.run(run_all(chosen, workers=max(1, min(given.workers, len(chosen)))))
    except KeyboardInterrupt:
        return 130
    write_report(outcomes, given.report)
    show(outcomes)
    return 0 if all(outcome.verdict in GOOD for outcome in outcomes) else 1


def show(outcomes: Sequence[Outcome]) -> None:
    """Print the outcomes as a table, and how many of each there are."""
    table = Table(box=None, pad_edge=False)
    for column in ("mutant", "ring", "", "by"):
        table.add_column(column, overflow="fold")
    table.add_column("s", justify="right")
    for outcome in outcomes:
        style = "" if outcome.verdict is Verdict.CAUGHT else "bold red"
        by = escape(outcome.by.removeprefix(f"tests/{outcome.mutant.ring}/"))
        table.add_row(
            outcome.mutant.name, outcome.mutant.ring, outcome.verdict, by, f"{outcome.seconds:.1f}",
            style="yellow" if outcome.verdict is Verdict.ACCEPTED else style,
        )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    count = Counter(str(outcome.verdict) for outcome in outcomes)
    said = ", ".join(f"{number} {verdict}" for verdict, number in count.most_common())
    console.print(f"{len(outcomes)} mutants: {said}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
