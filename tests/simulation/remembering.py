"""What follows from the same bytes alone is computed once in a world: a seed costs half the time.

Only pure functions, by their arguments: what is asked of a port is asked as often as ever.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final
from unittest.mock import patch

from replicator.model.fingerprint import Fingerprint
from replicator.model.log.row_mapping import RowMapping
from replicator.model.log.wire import RawRow
from replicator.model.row import RowKey

REMEMBERED: Final = (
    "replicator.services.store.store.unpack",
    "replicator.model.log.wire._parse",
    "replicator.model.log.locations.segment_payload",
)
RESULTS_MAX: Final = 1 << 14


@contextmanager
def remembering() -> Iterator[None]:
    """Remember the results of these functions until the block ends."""
    with ExitStack() as stack:
        for name in REMEMBERED:
            remembered = lru_cache(maxsize=RESULTS_MAX)(resolve_name(name))
            stack.enter_context(patch(name, remembered))
        stack.enter_context(patch.object(RowMapping, "fingerprint", _fingerprint()))
        yield


def _fingerprint() -> Callable[[RowMapping, RawRow], Fingerprint | None]:
    """Return `RowMapping.fingerprint`, remembered by the mapping and all that it reads of a row.

    A mapping holds mappings of columns and cannot be compared at once, so it is told by itself.
    """
    of = RowMapping.fingerprint
    remembered: dict[tuple[int, RowKey, bytes], tuple[RowMapping, RawRow, Fingerprint | None]] = {}

    def fingerprint(mapping: RowMapping, told: RawRow) -> Fingerprint | None:
        name = (id(mapping), told.key, told.fingerprint)
        known = remembered.get(name)
        if known is not None and known[1].columns == told.columns:
            return known[2]
        found = of(mapping, told)
        remembered[name] = (mapping, told, found)  # the mapping as well: its id stays its own
        return found

    return fingerprint
