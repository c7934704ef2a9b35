"""An obstacle to a later write, and its remedy."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A property of what is written to that makes writes fail or go wrong."""

    what: str
    remedy: str
