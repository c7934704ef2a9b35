"""Of several failures at once the worst is told, and a bug is never among the expected ones."""

import pytest

from replicator.errors import (
    CorruptionError,
    FencedError,
    TransientError,
    expected,
    trace,
    worst,
    worst_alone,
)


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


def test_a_server_that_says_megabytes_is_quoted_by_its_beginning():
    """`/status.json` had 30 MB for everybody who asked, and the log as much each minute."""
    error = TransientError("the database says " + "x" * 2_000_000, hint="y" * 2_000_000)
    assert str(error).startswith("the database says xxx")
    assert str(error).endswith("… (2000018 characters)")
    assert len(str(error)) < 11_000
    assert len(error.hint) < 11_000
    assert len(str(expected(ValueError("z" * 2_000_000)))) < 11_000
    assert len(trace(ValueError("z" * 2_000_000))) == 100_000
