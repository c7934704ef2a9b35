"""What ends the loop of a service, and what a later step may get over."""

import asyncio
from random import Random

import pytest

from replicator.errors import ConfigError, CorruptionError, TransientError
from replicator.model.observation import Observation, Waiting
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.loop import repeat

AT_ONCE = RetryPolicy(attempts_max=3, delay_initial_s=0.001, delay_max_s=0.001)
DENIED = ConfigError("cannot read rates.json: Permission denied", hint="give the user the rights")


async def reasons(*steps: Exception | None) -> list[str]:
    """Return what was waited for while the steps end as given; the loop ends after them."""
    left, waits = list(steps), list[str]()

    async def step() -> float | None:
        if not left:
            return None
        if (failure := left.pop(0)) is not None:
            raise failure
        return 0.0

    def note(observation: Observation) -> None:
        assert isinstance(observation, Waiting)
        waits.append(observation.reason)

    stop = asyncio.Event()
    await repeat(step, stop, what="apply", retry=AT_ONCE, rng=Random(1), observer=note)
    return waits


async def test_settings_that_are_wrong_at_the_start_end_it():
    with pytest.raises(ConfigError):
        await reasons(TransientError("away"), DENIED)


async def test_surroundings_that_change_later_are_waited_for_with_what_to_do():
    assert await reasons(None, DENIED, DENIED, None) == [f"{DENIED}; {DENIED.hint}"] * 2


async def test_evidence_that_contradicts_itself_always_ends_it():
    with pytest.raises(CorruptionError):
        await reasons(None, CorruptionError("two histories"))
