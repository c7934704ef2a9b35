"""What leads back to the rows that a poll found, kept and given away."""

from mmap import mmap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.model.inventory import pages
from replicator.services.replication import handles
from replicator.services.replication.handles import Handles

names = st.lists(st.text("ab", min_size=1, max_size=5).map(str.encode), max_size=7)


@given(parts=st.lists(names, max_size=6), rows_max=st.integers(1, 9))
def test_all_are_given_away_in_order_and_as_many_at_a_time_as_may_be(
    parts: list[list[bytes]], rows_max: int
):
    kept = Handles()
    for part in parts:
        kept.add(np.array(part, np.bytes_))
    expected = [one for part in parts for one in part]
    assert len(kept) == len(expected)

    given_away = [list(some) for some in kept.drain(rows_max)]

    assert [one for some in given_away for one in some] == expected
    assert all(len(some) == rows_max for some in given_away[:-1])
    assert len(kept) == 0


def test_a_part_goes_back_to_the_system_when_it_was_given_away(monkeypatch: pytest.MonkeyPatch):
    """A first cut has a handle of every row: none is kept until the last was read."""
    mapped: list[int] = []

    class Counted(mmap):
        def __init__(self, *_: object, **__: object) -> None:
            mapped.append(1)

        def __del__(self) -> None:
            mapped.pop()

    monkeypatch.setattr(pages, "mmap", Counted)
    kept = handles.Handles()
    for _ in range(5):
        kept.add(np.arange(10))
    assert len(mapped) == 5

    left = [len(mapped) for _ in kept.drain(10)]

    assert left == [4, 3, 2, 1, 0]
