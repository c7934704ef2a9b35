"""When to try again, as a pure function of the attempt number."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter, bounded in attempts and in delay."""

    attempts_max: int = 8
    delay_initial_s: float = 0.2
    delay_max_s: float = 30.0

    def delays_s(self, rng: Random) -> Iterator[float]:
        """Yield the wait before each further attempt; after the last wait the caller gives up."""
        for attempt in range(self.attempts_max - 1):
            yield self.delay_s(attempt, rng)

    def delay_s(self, attempt: int, rng: Random) -> float:
        """Return the wait after the failed attempt number `attempt`, counted from 0."""
        ceiling_s = min(self.delay_max_s, self.delay_initial_s * 2.0 ** min(attempt, 30))
        return rng.uniform(0.0, ceiling_s)
