"""Results of `verify --level query`, as text and as data."""

from typing import Any

from rich.console import Console

from replicator.model.druid.answer import AnswerVerdict
from replicator.model.operations.words import counted
from replicator.services.verification.query_verifier import Disagreement, QueryVerification

MEASURES_SHOWN_MAX = 5


def queries_json(found: QueryVerification | None) -> dict[str, Any] | None:
    """Return the Brokers' answers as data."""
    if found is None:
        return None
    return {
        "good": found.is_good,
        "repeats": found.repeats,
        "datasources": [
            {
                "datasource": name,
                **{_key(verdict): one.verdicts[verdict] for verdict in AnswerVerdict},
                "ingesting": one.ingesting,
                "left": one.left,
                "columns_unmeasured": list(one.unmeasured),
            }
            for name, one in found.datasources.items()
        ],
        "disagreements": [_disagreement_json(one) for one in found.disagreements],
    }


def show_queries(console: Console, found: QueryVerification, *, paused: bool) -> None:
    """Print the Brokers' answers."""
    counts = found.verdicts
    verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in AnswerVerdict)
    console.print(
        f"  asked both Brokers about {counted(len(found.datasources), 'datasource')}: {verdicts}"
    )
    for name, one in found.datasources.items():
        for count, why in (
            (one.ingesting, "intervals are being written by tasks and were not compared"),
            (one.left, "intervals were not compared: enough differences had been found"),
        ):
            if count:
                console.print(f"  {name}: {count} {why}", markup=False)
        if one.unmeasured:
            columns = ", ".join(one.unmeasured)
            console.print(f"  {name}: no measure is known for {columns}", markup=False)
    for disagreement in found.disagreements:
        console.print(f"  BAD {_words(disagreement)}", markup=False)
    if paused and found.disagreements:
        console.print("  the target stands at an earlier cut: the source has gone on since")


def _words(one: Disagreement) -> str:
    shown = "; ".join(
        f"{found.measure} {found.source} at the source, {found.target} at the target"
        for found in one.differences[:MEASURES_SHOWN_MAX]
    )
    more = len(one.differences) - MEASURES_SHOWN_MAX
    return f"{one.datasource} {one.interval} {one.verdict}: {shown}" + (
        f" and {more} more" if more > 0 else ""
    )


def _disagreement_json(one: Disagreement) -> dict[str, Any]:
    return {
        "datasource": one.datasource,
        "interval": str(one.interval),
        "verdict": _key(one.verdict),
        "differences": [
            {
                "measure": str(found.measure.what),
                "column": found.measure.column or None,
                "source": found.source,
                "target": found.target,
            }
            for found in one.differences
        ],
    }


def _key(verdict: AnswerVerdict) -> str:
    return str(verdict).replace(" ", "_")
