"""How long a lease was not renewed, by a clock that nobody sets."""

import asyncio
from collections.abc import Hashable


class LeaseWatch:
    """Remembers since when this process has seen the same, of each thing by its name.

    A time that another process wrote by its own clock may lie ahead by as much as that clock was
    wrong. What must be renewed to stay true can be judged without it: whoever has watched it for
    its whole length, and saw no renewal, knows that it is over.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Hashable, float]] = {}

    def seconds(self, name: str, value: Hashable) -> float:
        """Return for how long the value of a name was the same at each look of this process."""
        now_s = asyncio.get_running_loop().time()
        before = self._seen.get(name)
        if before is None or before[0] != value:
            self._seen[name] = before = value, now_s
        return now_s - before[1]

    def keep(self, names: frozenset[str]) -> None:
        """Forget all but these: the others are not there any more."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in names}
