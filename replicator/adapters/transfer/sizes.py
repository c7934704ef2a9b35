"""Sizes of the parts in which objects are stored."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
PARTS_MAX: Final = 9_500
"""Limit for parts; S3 takes 10,000, and a packed segment can be larger than all its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Sizes of the parts in which objects are stored."""

    part_bytes: int = 8 * MIB
    """Objects up to this are stored by one request; larger ones in parts of at least this."""
    parts_in_flight_max: int = 4
    """Number of parts of one object that are sent at once."""

    def part_of(self, object_bytes: int) -> int:
        """Return the size of an object's parts: larger parts rather than too many."""
        least = -(-object_bytes // PARTS_MAX)
        return max(self.part_bytes, -(-least // MIB) * MIB)
