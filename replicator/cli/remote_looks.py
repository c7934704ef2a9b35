"""Looks that a service answers at once, from what it has seen: no job is made of them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from replicator.cli.command import Outcome
from replicator.cli.points_text import holds_outcome, points_outcome
from replicator.cli.service_client import ServiceClient
from replicator.control.endpoints.points import CUTS_MAX
from replicator.services.inspection.points_report import HoldsReport, PointsReport

POINTS: Final = TypeAdapter(PointsReport)
HOLDS: Final = TypeAdapter(HoldsReport)


def quick_look(
    command: str, options: Mapping[str, Any]
) -> Callable[[ServiceClient], Outcome] | None:
    """Return the call that answers the typed verb; None: the verb takes a job."""
    match command:
        case "points" if options.keys() <= {"--limit", "--all"}:
            limit, every = options.get("--limit", 20), options.get("--all", False)
            if limit > CUTS_MAX:
                return None
            query = {"limit": limit, "all": str(every).lower()}
            return lambda client: points_outcome(client.look("points", query, POINTS))
        case "hold list":
            on = {"target": options.get("--on")}
            return lambda client: holds_outcome(client.look("holds", on, HOLDS))
        case _:
            return None
