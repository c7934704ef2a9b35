"""The effect of a plan on each datasource, as text for the operator who must agree."""

from collections.abc import Iterator
from typing import Any

from replicator.model.druid.interval import Interval
from replicator.model.operations.words import counted
from replicator.model.plans.plan import Effect, Estimate

SHOWN_MAX = 20
"""Number of datasources that a text names; the JSON document names all."""


def effects_json(estimate: Estimate) -> list[dict[str, Any]]:
    """Return the losses and gains of each datasource, the largest losses first."""
    return [
        {
            "datasource": one.datasource,
            "used_segments_lost": one.lost,
            "lost_interval": _text(one.lost_interval),
            "used_segments_gained": one.gained,
            "gained_interval": _text(one.gained_interval),
        }
        for one in estimate.effects
    ]


def effect_lines(estimate: Estimate) -> Iterator[str]:
    """Yield a line for each datasource, the largest losses first, and one for those left out."""
    effects = {one.datasource: one for one in estimate.effects}
    rows = sorted(estimate.by_datasource.items(), key=lambda one: (-one[1], one[0]))
    names = [*effects, *(name for name, _ in rows if name not in effects)]
    for name in names[:SHOWN_MAX]:
        written = estimate.by_datasource.get(name, 0)
        words = [f"{counted(written, 'row')} to write"] if written else []
        words += _words(effects[name]) if name in effects else []
        yield f"{name}: {'; '.join(words)}"
    left = names[SHOWN_MAX:]
    if left:
        lost = sum(effects[name].lost for name in left if name in effects)
        loses = f", which lose {counted(lost, 'used segment')}" if lost else ""
        yield f"and {counted(len(left), 'more datasource')}{loses}"


def _words(effect: Effect) -> list[str]:
    words = []
    if effect.lost:
        words.append(f"LOSES {counted(effect.lost, 'used segment')}{_within(effect.lost_interval)}")
    if effect.gained:
        gained = counted(effect.gained, "used segment")
        words.append(f"gains {gained}{_within(effect.gained_interval)}")
    return words


def _within(interval: Interval | None) -> str:
    return "" if interval is None else f" of {interval}"


def _text(interval: Interval | None) -> str | None:
    return None if interval is None else str(interval)
