"""How long a lease was not renewed, by a monotonic clock."""

import asyncio
from collections.abc import Hashable


class LeaseWatch:
    """Measures for how long this process has seen each name with the same value.

    A time written by another process's clock may be as wrong as that clock. Whether a lease was
    renewed can be judged without it: a process that has watched the lease for its whole length, and
    saw no renewal, knows that the lease is over.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def seconds(self, name: str, value: Hashable) -> float:
        """Return the seconds for which every look of this process saw a name with this value."""
        now_s = asyncio.get_running_loop().time()
        before = self._seen.get(name)
        if before is None or before[0] != value:
            self._seen[name] = before = value, now_s
        return now_s - before[1]

    def keep(self, names: frozenset[str]) -> None:
        """Forget all other names: their leases are gone."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
