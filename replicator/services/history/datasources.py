"""Names the datasources of a log, so that the error for a misspelt name suggests the nearest."""

from difflib import get_close_matches

import numpy as np

from replicator.errors import GapError, MalformedRowError, NotFoundError
from replicator.model.event import Offset
from replicator.model.log.reading import Recorded
from replicator.model.log.row_mapping import supervised_datasource
from replicator.model.plans.restore_point import Latest
from replicator.model.row import Supervisor
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History

NAMED_MAX = 10
"""Number of datasources that an error names when no name is close."""


async def datasources(history: History, until: Offset) -> frozenset[str]:
    """Return the datasources of all rows of a cut, used or not."""
    ledger = await fold(history, until, Recorded())
    names = set[str]()
    async for found in history.tallies(np.sort(ledger.offsets)):
        names.update(name for name in found.by_datasource if name is not None)
    return frozenset(names)


async def is_known(history: History, name: str) -> bool:
    """Return whether the last cut has rows of this datasource, also after the log was trimmed."""
    try:
        last = await history.find(Latest())
    except (GapError, NotFoundError):
        return False
    return name in await datasources(history, last.offset)


async def nearest(history: History, name: str) -> str:
    """Return a sentence with the datasource names that the operator may have meant."""
    try:
        last = await history.find(Latest())
    except (GapError, NotFoundError):
        return "names are exact"
    known = sorted(await datasources(history, last.offset) - {name})
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {close[0]!r}? Names are exact"
    if not known:
        return "names are exact, and the last cut has no datasource"
    more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
    return f"names are exact; the last cut has {', '.join(known[:NAMED_MAX])}{more}"


def ingests_into(supervisor: Supervisor) -> str | None:
    """Return the datasource of a supervisor; None if its spec names none or cannot be read."""
    try:
        return supervised_datasource(supervisor)
    except MalformedRowError:
        return None
