"""Of several failures at once the worst is told, and a bug is never among the expected ones."""

import pytest

from replicator.errors import CorruptionError, FencedError, TransientError, worst, worst_alone


def test_the_worst_failure_of_a_group_is_the_one_to_act_on():
    away, fenced, rotten = TransientError("away"), FencedError("fenced"), CorruptionError("rotten")
    nested = ExceptionGroup("some", [away, ExceptionGroup("more", [rotten, fenced])])
    assert worst(nested) is rotten
    with pytest.raises(CorruptionError, match="rotten"), worst_alone():
        raise nested


def test_a_bug_among_them_is_not_hidden():
    group = ExceptionGroup("some", [TransientError("away"), KeyError("a bug")])
    assert worst(group) is None
    with pytest.raises(ExceptionGroup), worst_alone():
        raise group


def test_a_message_is_a_text_that_every_document_can_hold():
    """A name of a file that is not UTF-8 has half a pair of surrogates for each of its bytes."""
    error = TransientError("it leads to /x\udcff", hint="look at \ud800", retry_after_s=1)
    assert str(error) == "it leads to /x\\udcff"
    assert error.hint == "look at \\ud800"
    assert str(CorruptionError("wörter ✓")) == "wörter ✓"
