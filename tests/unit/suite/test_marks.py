"""A run of the simulation that left out a rare road fails, and a run of few seeds is not judged."""

from types import SimpleNamespace

import pytest

from tests.simulation import marks


def told(seed: int, found: set[str], outcome: str = "passed") -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"test_target_converges_whatever_dies[{seed}]",
        location=("", None, ""),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when="call",
        user_properties=[(marks.PROPERTY, "\n".join(found))],
    )


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    monkeypatch.setattr(marks, "_seeds", found)
    return found


@pytest.mark.usefixtures("seeds")
def test_what_no_seed_has_met_is_missing():
    for seed in range(marks.SEEDS_MIN - 1):
        marks.pytest_runtest_logreport(told(seed, {"restored", "expired"}))
    assert marks.missing() == set()  # too few to say so
    marks.pytest_runtest_logreport(told(98, marks.MARKS, "failed"))
    assert marks.missing() == set()
    marks.pytest_runtest_logreport(told(99, {"bytes expired"}))
    assert marks.missing() == marks.MARKS - {"restored", "expired", "bytes expired"}


def test_what_is_missing_fails_the_run_and_nothing_else_does(seeds: dict[str, set[str]]):
    seeds.update({str(number): marks.MARKS for number in range(marks.SEEDS_MIN)})
    assert finished().exitstatus is pytest.ExitCode.OK
    seeds.update(dict.fromkeys(seeds, marks.MARKS - {"restored"}))
    assert finished().exitstatus is pytest.ExitCode.TESTS_FAILED


def test_the_rarest_is_missing_from_a_long_run_alone(seeds: dict[str, set[str]]):
    seeds.update({str(number): marks.MARKS for number in range(marks.RAREST_MIN - 1)})
    assert marks.missing() == set()
    seeds["the last"] = set()
    assert marks.missing() == marks.RAREST
    seeds["the last"] = marks.RAREST
    assert marks.missing() == set()


def finished() -> SimpleNamespace:
    session = SimpleNamespace(config=SimpleNamespace(), exitstatus=pytest.ExitCode.OK)
    marks.pytest_sessionfinish(session)  # type: ignore[arg-type]
    return session
