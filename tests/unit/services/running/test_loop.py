"""What ends the loop of a service, what halts it, and what a later step may get over."""

import asyncio
from random import Random

import pytest

from replicator.adapters.mysql import errors as mysql_errors
from replicator.adapters.postgresql import errors as postgresql_errors
from replicator.errors import (
    BUG,
    ConfigError,
    CorruptionError,
    DamagedServerError,
    DefectError,
    FencedError,
    GapError,
    LogCutShortError,
    NotFoundError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.observation import Observation
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.operations.retry import RetryPolicy
from replicator.services.running.loop import (
    OF_A_TARGET,
    OF_A_TARGET_ALONE,
    OF_THE_WATCHER,
    Tolerance,
    repeat,
)

AT_ONCE = RetryPolicy(attempts_max=3, delay_initial_s=0.001, delay_max_s=0.001)
DENIED = ConfigError("cannot read rates.json: Permission denied", hint="give the user the rights")
ALTERED = CorruptionError("holds/audit.json is altered")


async def told(*steps: Exception | None, tolerance: Tolerance = OF_A_TARGET) -> list[str]:
    """Return what is told while the steps end as given; the loop ends after them."""
    left, lines = list(steps), list[str]()

    async def step() -> float | None:
        if not left:
            return None
        if (failure := left.pop(0)) is not None:
            raise failure
        return 0.0

    def note(observation: Observation) -> None:
        match observation:
            case Waiting(reason=reason):
                lines.append(f"waits: {reason}")
            case Halted(reason=reason, hint=hint, exit_code=code, traceback=found):
                lines.append(f"halted ({code}): {reason}; {hint}")
                assert ("in step" in found) == (code == BUG)
            case WentOn(what=what):
                lines.append(f"goes on: {what}")
            case _:
                raise AssertionError(observation)

    await repeat(
        step,
        asyncio.Event(),
        what="apply",
        retry=AT_ONCE,
        halted_retry_s=0.001,
        rng=Random(1),
        observer=note,
        tolerance=tolerance,
    )
    return lines


FOREIGN = RefusedError("rows that nobody here wrote")


@pytest.mark.parametrize("tolerance", [OF_A_TARGET_ALONE, OF_THE_WATCHER])
@pytest.mark.parametrize("failure", [DENIED, FOREIGN])
async def test_what_is_wrong_at_the_start_ends_it(tolerance: Tolerance, failure: ReplicatorError):
    with pytest.raises(type(failure)):
        await told(TransientError("away"), failure, tolerance=tolerance)


@pytest.mark.parametrize("tolerance", [OF_A_TARGET, OF_A_TARGET_ALONE, OF_THE_WATCHER])
async def test_surroundings_that_change_later_halt_it_and_it_says_what_to_do(tolerance: Tolerance):
    said = f"halted (2): {DENIED}; {DENIED.hint}"
    assert await told(None, DENIED, DENIED, None, tolerance=tolerance) == [
        said,
        said,
        "goes on: apply",
    ]


CUT_SHORT = LogCutShortError("a target is further than the log")


@pytest.mark.parametrize("tolerance", [OF_A_TARGET_ALONE, OF_THE_WATCHER])
async def test_a_log_that_lost_records_ends_its_watcher_and_who_applies_alone(
    tolerance: Tolerance,
):
    with pytest.raises(LogCutShortError):
        await told(None, CUT_SHORT, tolerance=tolerance)


@pytest.mark.parametrize(
    "failure", [ALTERED, CUT_SHORT, GapError("the log was trimmed"), DENIED, FOREIGN]
)
async def test_what_is_wrong_with_one_target_halts_it_from_its_first_step_on(
    failure: ReplicatorError,
):
    """A start at night must not end for all targets because one store is refused."""
    lines = await told(failure, TransientError("away"), failure, None)
    assert [line.partition(":")[0] for line in lines] == [
        f"halted ({failure.exit_code})",
        "waits",
        f"halted ({failure.exit_code})",
        "goes on",
    ]


async def test_a_target_waits_for_a_log_that_is_not_there_yet():
    assert await told(NotFoundError("no log"), None) == ["waits: no log"]


async def test_nothing_hides_another_process():
    with pytest.raises(FencedError):
        await told(None, FencedError("another applier has taken over"))


@pytest.mark.parametrize("tolerance", [OF_A_TARGET_ALONE, OF_THE_WATCHER])
async def test_a_defect_ends_the_watcher_and_who_applies_alone(tolerance: Tolerance):
    with pytest.raises(RuntimeError):
        await told(None, RuntimeError("a defect"), tolerance=tolerance)


async def test_a_defect_that_one_target_brings_out_halts_it_alone_and_shows_where():
    defects = (
        RuntimeError("no \ud800 number"),
        ExceptionGroup("two", [ValueError("a"), KeyError()]),
    )
    lines = await told(*defects, None)
    assert [line.partition(";")[0] for line in lines] == [
        r"halted (1): RuntimeError: no \ud800 number",
        "halted (1): ExceptionGroup: two (2 sub-exceptions)",
        "goes on: apply",
    ]
    assert "report it to the project" in lines[0]


async def test_a_defect_that_a_step_has_named_already_is_one_too():
    named = DefectError("the store of standby: KeyError")
    assert (await told(named, None))[0].startswith("halted (1): the store of standby: KeyError")
    for tolerance in (OF_A_TARGET_ALONE, OF_THE_WATCHER):
        with pytest.raises(DefectError):
            await told(named, tolerance=tolerance)


async def test_a_source_that_is_damaged_is_waited_for():
    """It ended `run`, and the copies with it, when a page of the source's disk was unreadable."""
    damaged = DamagedServerError("PostgreSQL: invalid page in block 7")
    (line,) = await told(damaged, None, tolerance=OF_THE_WATCHER)
    assert "invalid page in block 7" in line
    for translation in (postgresql_errors._damaged, mysql_errors._damaged):
        assert isinstance(translation("invalid page"), DamagedServerError)


async def test_a_log_that_contradicts_itself_ends_its_watcher():
    with pytest.raises(CorruptionError):
        await told(None, ALTERED, tolerance=OF_THE_WATCHER)
