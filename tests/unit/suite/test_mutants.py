"""The planted bugs still fit the product. Whether they are caught says `make mutants`."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import PRODUCT, RINGS, TRAPS, Mutant, StaleError, mutated
from tests.mutants.run import PROJECT, Run, Verdict, judged

MUTANTS_MIN = 80
CAUGHT_MIN = 0.95
FITS = Mutant(
    name="fits",
    function="Applier._commit",
    old="await self._report(cut.offset)",
    new="pass",
    loses="All of it.",
    ring="unit",
    tests="test_applier.py",
)


def test_each_fits_and_says_what_would_be_lost():
    stale: list[str] = []
    for mutant in MUTANTS:
        try:
            assert mutated(mutant, PROJECT).path.parts[0] == PRODUCT
        except StaleError as exc:
            stale.append(f"{mutant.name}: {exc}")
        assert mutant.loses.endswith("."), mutant.name
        assert len(mutant.loses.split()) >= 5, mutant.name
        assert mutant.ring in RINGS, mutant.name
        assert mutant.trap is None or mutant.trap in TRAPS, mutant.name
    assert stale == []


def test_what_is_run_for_each_is_there():
    for mutant in MUTANTS:
        words = mutant.selection.arguments()
        files = [word.partition("::")[0] for word in words if word.startswith("tests/")]
        assert files, mutant.name
        for file in files:
            assert (PROJECT / file).is_file(), f"{mutant.name}: {file}"


def test_there_are_enough_and_few_escape():
    assert len(MUTANTS) >= MUTANTS_MIN
    assert [name for name, count in Counter(m.name for m in MUTANTS).items() if count > 1] == []
    assert {mutant.trap for mutant in MUTANTS} >= set(TRAPS)
    assert len([m for m in MUTANTS if not m.accepted]) >= CAUGHT_MIN * len(MUTANTS)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (replace(FITS, function="Applier._nowhere"), "there is no"),
        (replace(FITS, function="_words"), "_words is [2-9] functions"),
        (replace(FITS, old="nobody wrote this"), "stands 0 times"),
        (replace(FITS, old="gap"), "stands [2-9] times"),
        (replace(FITS, new="await self._executor.commit("), "no Python"),
        (replace(FITS, new=FITS.old), "changes nothing"),
    ],
)
def test_one_that_does_not_fit_is_named(other: Mutant, words: str):
    mutated(FITS, PROJECT)
    with pytest.raises(StaleError, match=words):
        mutated(other, PROJECT)


@pytest.mark.parametrize(
    ("run", "caught", "accepted", "hangs"),
    [
        (Run(code=1, failed=("a", "b")), Verdict.CAUGHT, Verdict.BROKEN, Verdict.CAUGHT),
        (Run(code=1, errors=("a",)), Verdict.BROKEN, Verdict.BROKEN, Verdict.BROKEN),
        (Run(code=0, passed=1), Verdict.ESCAPED, Verdict.ACCEPTED, Verdict.ESCAPED),
        (Run(code=1, timed_out=("a",)), Verdict.HANGS, Verdict.HANGS, Verdict.CAUGHT),
        (Run(code=None), Verdict.HANGS, Verdict.HANGS, Verdict.CAUGHT),
        (Run(code=2), Verdict.BROKEN, Verdict.BROKEN, Verdict.BROKEN),
        (Run(code=4), Verdict.BROKEN, Verdict.BROKEN, Verdict.BROKEN),
        (Run(code=5), Verdict.BROKEN, Verdict.BROKEN, Verdict.BROKEN),
    ],
)
def test_only_a_test_that_fails_in_its_body_catches(
    run: Run, caught: Verdict, accepted: Verdict, hangs: Verdict
):
    assert judged(FITS, run).verdict is caught
    assert judged(replace(FITS, accepted="no test can see it"), run).verdict is accepted
    assert judged(replace(FITS, hangs=True), run).verdict is hangs
