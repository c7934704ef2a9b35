"""When to try again is a pure function of the attempt and a given chance."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from replicator.model.operations.retry import RetryPolicy


class Highest(Random):
    """Always draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_longest_waits_double_up_to_the_limit():
    policy = RetryPolicy(attempts_max=7, delay_initial_s=1.0, delay_max_s=10.0)

    assert list(policy.delays_s(Highest())) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_one_attempt_is_never_repeated():
    assert list(RetryPolicy(attempts_max=1).delays_s(Random(0))) == []


@given(attempt=st.integers(0, 10_000), seed=st.integers(0, 99))
def test_a_wait_is_never_longer_than_the_limit(attempt: int, seed: int):
    """Also for the attempt that would overflow a float."""
    policy = RetryPolicy(delay_initial_s=0.2, delay_max_s=30.0)

    assert 0.0 <= policy.delay_s(attempt, Random(seed)) <= 30.0


def test_the_same_chance_gives_the_same_waits():
    """A seed reproduces a whole run."""
    policy = RetryPolicy()

    assert list(policy.delays_s(Random(7))) == list(policy.delays_s(Random(7)))
    assert list(policy.delays_s(Random(7))) != list(policy.delays_s(Random(8)))
