"""How much is looked at by a verification: a share, by chance or in turn, or all."""

from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from random import Random

from replicator.model.druid.interval import Interval, interval_or_eternity
from replicator.model.row import Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a target is looked at."""

    share: float = 1.0
    """Share of the objects, or of the intervals that are queried."""
    window: int | None = None
    """Index of the share of the objects, from 0, chosen by name; None: a random sample."""
    seed: str = ""
    """Chooses a random sample by name, so that it can be drawn again; empty: another each time."""
    bytes_max: int | None = None
    """No more than so many bytes are read: objects that do not fit are left."""
    structure: bool = False
    """Whether packed segments are looked into."""
    datasource: str | None = None
    """Datasource to which bytes, rows and answers are limited; None: all."""
    interval: Interval | None = None
    """Interval that verified segments and compared answers overlap; None: any."""

    def is_about(self, segment: Segment) -> bool:
        """Return whether the bytes of a segment belong to it, whatever the share."""
        if self.interval is None:
            return True
        return self.interval.overlaps(interval_or_eternity(segment.start, segment.end))

    def asks(self, datasource: str, interval: Interval, rng: Random) -> bool:
        """Return whether an interval of a datasource belongs to it."""
        if self.interval is not None and not self.interval.overlaps(interval):
            return False
        return self.holds(f"{datasource} {interval}", rng)

    def holds(self, name: str, rng: Random) -> bool:
        """Return whether what has this name belongs to it."""
        if self.share >= 1:
            return True
        if self.window is None and not self.seed:
            return rng.random() < self.share
        position = int.from_bytes(sha256(f"{self.seed}{name}".encode()).digest()[:8]) / 2**64
        if self.window is None:
            return position < self.share
        return self.window % windows(self.share) == int(position / self.share)


WHOLE = Extent()


def windows(share: float) -> int:
    """Return how many windows of this share cover everything."""
    return ceil(1 / share)
