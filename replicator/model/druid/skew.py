"""Features of a source for which a target's Druid is too old."""

from collections.abc import Mapping
from dataclasses import dataclass

from replicator.model.druid.known_since import Fate, Known, Trait, unknown_to
from replicator.model.druid.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Skewed:
    """A trait that the target's release does not know."""

    known: Known
    example: str
    """Key of a row with the trait."""

    @property
    def loses(self) -> bool:
        """Whether an operator must act."""
        return self.known.fate in {Fate.REFUSED, Fate.NAMED}

    @property
    def text(self) -> str:
        """The trait, a row with it, and its treatment, as text."""
        known = self.known
        return (
            f"{known.trait.text}, like that of {self.example}, is of {known.since.text}:"
            f" {known.fate}; {known.effect}"
        )


def skewed(seen: Mapping[Trait, str], release: Release) -> tuple[Skewed, ...]:
    """Return those of the seen traits that a release does not know, in a fixed order."""
    return tuple(
        Skewed(known=known, example=seen[trait])
        for trait in sorted(seen)
        if (known := unknown_to(trait, release)) is not None
    )
