"""The speed at which a target was filled: measured, never assumed."""

from dataclasses import asdict, dataclass

from replicator.model.document import NotNegative
from replicator.model.operations.words import LONGEST_S

FADING = 0.5
"""Weight of older measurements when newer ones are added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Amount of work and its duration; zero seconds: never measured."""

    copied_bytes: NotNegative = 0.0
    copied_objects: NotNegative = 0.0
    copy_s: NotNegative = 0.0
    rows: NotNegative = 0.0
    rows_s: NotNegative = 0.0

    @property
    def bytes_per_s(self) -> float | None:
        """Number of bytes copied per second; None: never measured."""
        return self.copied_bytes / self.copy_s if self.copy_s and self.copied_bytes else None

    @property
    def rows_per_s(self) -> float | None:
        """Number of rows written per second; None: never measured."""
        return self.rows / self.rows_s if self.rows_s and self.rows else None

    def seconds(self, *, size_bytes: int, rows: int) -> float | None:
        """Return the duration of work, at most `LONGEST_S`; None: something was never measured."""
        found = 0.0
        for work, per_s in ((size_bytes, self.bytes_per_s), (rows, self.rows_per_s)):
            if work and per_s is None:
                return None
            found += work / per_s if work and per_s else 0.0
        return min(found, LONGEST_S)

    def plus(self, other: "Rates") -> "Rates":
        """Return both together with equal weight."""
        mine, theirs = asdict(self), asdict(other)
        return Rates(**{name: value + theirs[name] for name, value in mine.items()})

    def after(self, newer: "Rates") -> "Rates":
        """Return both together, with more weight on the newer."""
        return Rates(
            **{
                name: getattr(newer, name) + FADING * value if _measured(newer, name) else value
                for name, value in asdict(self).items()
            }
        )


def _measured(newer: Rates, name: str) -> bool:
    return bool(newer.rows_s if name.startswith("rows") else newer.copy_s)
