"""What stands in the way of a later write, and what removes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """A property of what is written to that makes writes fail or go wrong."""

    what: str
    remedy: str
