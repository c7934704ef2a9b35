"""What a source has that a target's Druid is too old for."""

from collections.abc import Mapping
from dataclasses import dataclass

from replicator.model.druid.known_since import Fate, Known, Trait, unknown_to
from replicator.model.druid.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Skewed:
    """One thing that the target's release does not know."""

    known: Known
    example: str
    """A row that has it."""

    @property
    def loses(self) -> bool:
        """Whether a person must do something about it."""
        return self.known.fate in {Fate.REFUSED, Fate.NAMED}

    @property
    def text(self) -> str:
        """The trait and the row that has it, in words."""
        known = self.known
        return (
            f"{known.trait.text}, like that of {self.example}, is of {known.since.text}:"
            f" {known.fate}; {known.effect}"
        )


def skewed(seen: Mapping[Trait, str], release: Release) -> tuple[Skewed, ...]:
    """Return what of all that was seen a release does not know, in a fixed order."""
    return tuple(
        Skewed(known=known, example=seen[trait])
        for trait in sorted(seen)
        if (known := unknown_to(trait, release)) is not None
    )
