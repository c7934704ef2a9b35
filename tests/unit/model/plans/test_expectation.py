"""What a plan would do is told apart by all that it names, and the change is said in words."""

import numpy as np
import pytest

from replicator.errors import ConfigError, RefusedError
from replicator.model.plans.expectation import expectation, refuse_unexpected, sorted_keys
from replicator.model.row import Kind


def keys(*names: str):
    return np.array([name.encode() for name in names], dtype="S32")


def would(*removed: str, cut: int = 7) -> str:
    return expectation(cut=cut, rows_to_remove=sorted_keys({Kind.SEGMENT: keys(*removed)}))


def test_the_same_in_another_order_is_the_same():
    refuse_unexpected(would("a", "b"), would("b", "a"))
    refuse_unexpected(None, would("a"))
    assert expectation(cut=1 << 255) != expectation(cut=1 << 254)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (would("a", "c"), "something else now: rows to remove$"),
        (would("a", "b", cut=8), "something else now: cut$"),
        (expectation(cut=7), "something else now: rows to remove$"),
    ],
)
def test_as_much_of_something_else_is_refused_by_its_name(now: str, said: str):
    with pytest.raises(RefusedError, match=said):
        refuse_unexpected(would("a", "b"), now)


@pytest.mark.parametrize("text", ["", "cut", "cut=", "=1", "cut=1,"])
def test_what_is_no_such_text_is_refused(text: str):
    with pytest.raises(ConfigError, match="--expect"):
        refuse_unexpected(text, would("a"))
