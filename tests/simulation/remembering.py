"""What follows from the same bytes alone is computed once in a world: a seed costs half the time.

Only pure functions, by their arguments: what is asked of a port is asked as often as ever.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pkgutil import resolve_name
from typing import Final
from unittest.mock import patch

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
        yield
