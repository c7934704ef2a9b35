"""Names of files in a store, where anybody who can write to it can give any name."""

import pytest

from replicator.model.event import Offset
from replicator.model.store.archive import base_offset, history_name, history_span, manifest_name
from replicator.model.store.drilled import is_evidence
from replicator.model.store.intent import IntentFiles, intent_name, intents, lease_name

LOG = "0123456789abcdef"
LAST, ZERO = 2**63 - 1, "\u0660"
"""The greatest offset, and a digit of another script."""


def test_the_names_that_we_give_say_their_offsets():
    assert history_span(history_name(LOG, Offset(40), Offset(LAST))) == (40, LAST)
    assert base_offset(manifest_name(LOG, Offset(LAST))) == LAST
    (found,) = intents([intent_name(7), lease_name(7, 12)])
    assert (found.number, found.last_lease) == (7, 12)


@pytest.mark.parametrize(
    ("start", "end"), [(f"{0:020}", "9" * 20), (f"{9:020}", f"{8:020}"), (f"{0:020}", ZERO * 20)]
)
def test_a_history_of_no_offsets_is_none(start: str, end: str):
    assert history_span(f"history/{LOG}/{start}-{end}.jsonl.zst") is None


@pytest.mark.parametrize("offset", ["9" * 20, ZERO * 20])
def test_a_base_of_no_offset_is_none(offset: str):
    assert base_offset(f"bases/{LOG}/{offset}/manifest.json") is None


@pytest.mark.parametrize("name", [f"{ZERO * 10}.json", "0000000007.lease-012.json"])
def test_an_intent_that_could_not_be_read_by_its_number_is_none(name: str):
    assert intents([intent_name(7), f"expiry/{name}"]) == [IntentFiles(7, {"json"})]


@pytest.mark.parametrize(
    "time", ["99999999T999999.999999Z", "zzz", f"2024063{ZERO}T120000.000000Z"]
)
def test_evidence_of_no_time_is_none(time: str):
    assert is_evidence("drills/20240630T120000.000000Z.json")
    assert not is_evidence(f"drills/{time}.json")


def test_an_extension_of_any_number_takes_no_memory():
    """An expiry forgets those that there are: a name may say ten thousand million."""
    (found,) = intents([intent_name(7), lease_name(7, 2), lease_name(7, 9_999_999_999)])
    assert (found.leases, found.last_lease) == ({2, 9_999_999_999}, 9_999_999_999)
