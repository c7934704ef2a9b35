"""What a witness says of a store: whether it still has every cut that it once had."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    ReplicatorError,
    TransientError,
)
from replicator.model.store.head import Head

WITHOUT_WITNESS = "--without-witness"
"""The option that restores a store whose newest cuts no witness confirms."""


class Attested(StrEnum):
    """What is known of a store's end."""

    NEWEST = "newest"
    """The store has every cut that the witness remembers."""
    LOST = "lost"
    """The witness remembers cuts that the store does not have."""
    UNKNOWN = "unknown"
    """The witness is unreachable or not trusted, or remembers nothing of the history."""
    NOT_ASKED = "not asked"
    """The operator excluded the witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """What is known of the end of one history in a target's store."""

    target: str
    """Name of the target with the store."""
    witness: str
    """Name of the witness: another target, or a folder."""
    verdict: Attested
    text: str
    """The testimony in one sentence."""
    cause: ReplicatorError | None = None
    """Error because of which it is unknown; None: nothing is remembered, or it is known."""

    @property
    def proves(self) -> bool:
        """Whether nothing was lost, as far as a witness can prove."""
        return self.verdict is Attested.NEWEST

    @property
    def is_fault(self) -> bool:
        """Whether something was altered or is missing, in the store or at the witness."""
        return self.verdict is Attested.LOST or isinstance(self.cause, CorruptionError)

    def refusal(self) -> ReplicatorError:
        """Return the error of a store that is not trusted."""
        anyhow = (
            f"to use what is there all the same, add {WITHOUT_WITNESS}: then nothing proves"
            " that these are its newest cuts"
        )
        if self.verdict is Attested.LOST:
            return CorruptionError(self.text, hint=f"restore from a copy of the store; {anyhow}")
        match self.cause:
            case CorruptionError():
                hint = f"{self.cause.hint}; {anyhow}"
                return CorruptionError(self.text, hint=hint)
            case ConfigError():
                return ConfigError(self.text, hint=f"correct the witness; {anyhow}")
            case TransientError():
                return TransientError(self.text, hint=f"bring the witness back; {anyhow}")
            case _:
                again = f"`replicator apply {self.target} --once` lets it remember"
                return NotFoundError(self.text, hint=f"is its folder mounted? {again}; {anyhow}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessMemory:
    """What a witness remembers of the log that a target follows."""

    witness: str
    head: Head | None
    """The remembered head; None: nothing is remembered."""
    unknown: str = ""
    """Reason why the witness is unreachable or not trusted; empty: it answered."""


def testimony_json(testimony: Testimony | None) -> dict[str, Any] | None:
    """Return the testimony for JSON; None: the target has no witness."""
    if testimony is None:
        return None
    return {
        "witness": testimony.witness,
        "verdict": testimony.verdict.value,
        "detail": testimony.text,
    }
