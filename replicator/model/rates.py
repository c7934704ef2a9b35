"""How fast a target was filled until now: measured, never assumed."""

from dataclasses import asdict, dataclass
from typing import Any

FADING = 0.5
"""What older measurements count when newer ones come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Work that was done, and how long it took; zero seconds: never measured."""

    copied_bytes: float = 0.0
    copied_objects: float = 0.0
    copy_s: float = 0.0
    rows: float = 0.0
    rows_s: float = 0.0

    @property
    def bytes_per_s(self) -> float | None:
        """How many bytes were copied in a second, None: none were."""
        return self.copied_bytes / self.copy_s if self.copy_s and self.copied_bytes else None

    @property
    def rows_per_s(self) -> float | None:
        """How many rows were written in a second, None: none were."""
        return self.rows / self.rows_s if self.rows_s and self.rows else None

    def seconds(self, *, size_bytes: int, rows: int) -> float | None:
        """Return how long it takes, None: something of it was never measured."""
        found = 0.0
        for work, per_s in ((size_bytes, self.bytes_per_s), (rows, self.rows_per_s)):
            if work and per_s is None:
                return None
            found += work / per_s if work and per_s else 0.0
        return found

    def after(self, newer: "Rates") -> "Rates":
        """Return both together, of which the newer counts more."""
        return Rates(
            **{
                name: getattr(newer, name) + FADING * value if _measured(newer, name) else value
                for name, value in asdict(self).items()
            }
        )


def rates_of(found: Any) -> Rates:
    """Return rates that were kept as a mapping.

    Raises:
        ValueError, TypeError, KeyError: it is no such mapping.
    """
    return Rates(**{name: float(found[name]) for name in asdict(Rates())})


def _measured(newer: Rates, name: str) -> bool:
    return bool(newer.rows_s if name.startswith("rows") else newer.copy_s)
