"""Observations of what goes wrong, or goes on again: any service may make them.

They are apart from `observation.py`, which names all: a verb that only looks imports no other.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A step failed in a way that may pass, and is retried."""

    what: str
    reason: str
    delay_s: float
    is_part: bool = False
    """Whether only one call of a step failed, such as one copy of thousands; others continue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halted:
    """A service does nothing until an operator mends an error; it looks again at intervals."""

    what: str
    reason: str
    hint: str
    exit_code: int
    """Exit code of a verb that meets the same error."""
    retry_s: float
    traceback: str = ""
    """Place at which the program failed, if it is a defect of its own; empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WentOn:
    """A service that had halted works again."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDamaged:
    """A file of a target's own history is missing or altered, and was passed over."""

    reason: str
    """Names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUnsigned:
    """A file of a target's store was read although it has no signature; reported once a folder."""

    name: str
