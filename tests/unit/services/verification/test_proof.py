"""What was proved of a target, and how much of its bytes rolling proofs have covered."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.errors import CorruptionError
from replicator.model.event import CutNumber, Offset
from replicator.model.extent import Extent
from replicator.model.store.proof import (
    PROOF_BYTES_MAX,
    Level,
    Proof,
    coverage,
    last_good,
    proof_json,
    proof_of,
)
from replicator.services.records.proof_record import last_proved
from replicator.services.verification.proofs import KEPT_MAX, keep_proof
from tests.builders import segment
from tests.unit.pipeline import Pipeline

NOW = datetime(2024, 6, 30, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
PROOF = Proof(
    proved_at=NOW,
    level="checksum",
    cut=CutNumber(3),
    offset=Offset(40),
    share=0.2,
    window=0,
    partial=False,
    objects=7,
    read_bytes=700,
    left=0,
    findings=0,
)


NO_TIMES = ["99999999T999999.999999Z", "00010101T000000.000000Z", "..TT..Z", "20240630T12Z"]
"""They have the form of a time, and are none that can be reckoned with."""


def share(*proofs: Proof) -> float:
    return coverage(proofs, now=NOW, within=MONTH).share


def test_a_document_gives_the_proof_back():
    assert proof_of(PROOF.name, proof_json(PROOF)) == PROOF
    with pytest.raises(CorruptionError, match="proofs/"):
        proof_of(PROOF.name, b"{}")


def test_rolling_windows_add_up():
    days = [replace(PROOF, window=day) for day in range(5)]
    assert share(*days[:2]) == pytest.approx(0.4)
    assert share(*days) == 1.0
    assert share(days[0], days[0]) == pytest.approx(0.2)
    assert share(days[0], replace(PROOF, window=5)) == pytest.approx(0.2), "the same, a round later"


def test_what_proves_less_does_not_count():
    assert share() == 0.0
    assert share(replace(PROOF, window=None)) == 0.0, "drawn by chance"
    assert share(replace(PROOF, left=1)) == 0.0
    assert share(replace(PROOF, findings=1)) == 0.0
    assert share(replace(PROOF, partial=True)) == 0.0
    assert share(replace(PROOF, level="exists")) == 0.0
    assert share(replace(PROOF, proved_at=NOW - timedelta(days=31))) == 0.0
    assert share(replace(PROOF, share=1.0, window=None)) == 1.0


def test_damage_says_that_earlier_proofs_hold_no_more():
    whole = replace(PROOF, share=1.0, window=None)
    bad = replace(whole, proved_at=NOW - timedelta(hours=1), findings=2)
    found = coverage(
        [replace(whole, proved_at=NOW - timedelta(days=1)), bad], now=NOW, within=MONTH
    )
    assert (found.share, found.since, found.is_cut_short) == (0.0, bad.proved_at, True)
    assert share(bad, whole) == 1.0


@pytest.mark.parametrize(
    ("later", "is_cleared"),
    [
        ({"share": 1.0, "window": None}, True),
        ({"window": 0}, True),
        ({"window": 1}, False),
        ({"window": None}, False),
        ({"share": 1.0, "window": None, "left": 1}, False),
        ({"share": 1.0, "window": None, "level": "exists"}, False),
        ({"share": 1.0, "window": None, "partial": True}, False),
        ({"share": 1.0, "window": None, "findings": 1}, False),
    ],
)
async def test_what_was_bad_stays_so_until_a_later_proof_has_looked_at_all_of_it(
    later: dict[str, Any], *, is_cleared: bool
):
    area = Pipeline().area
    bad = replace(PROOF, findings=2)
    for proof in (bad, replace(PROOF, proved_at=NOW + timedelta(hours=1), **later)):
        await area.create(proof.name, proof_json(proof))
    found = (await last_proved(area, now=NOW)).bad
    assert (found is None) == is_cleared


async def test_a_deeper_level_clears_what_a_level_within_it_found():
    area, whole = Pipeline().area, replace(PROOF, share=1.0, window=None)
    assert (await last_proved(area, now=NOW)).bad is None
    bad = replace(whole, level="exists", findings=1)
    await area.create(bad.name, proof_json(bad))
    assert (await last_proved(area, now=NOW)).bad == bad
    good = replace(whole, proved_at=NOW + timedelta(hours=1))
    await area.create(good.name, proof_json(good))
    assert (await last_proved(area, now=NOW)).bad is None


@pytest.mark.parametrize(
    "other",
    [
        "proofs/99999999T999999.99{:04}Z-rows-good.json",
        "proofs/zzz{:04}.json",
        "proofs/20240701T000000.00{:04}Z-rows-good.json",
    ],
)
async def test_other_names_and_later_ones_hide_no_damage_and_push_no_proof_out(other: str):
    """Whoever can add files to a store can add as many as are looked at, and as are kept."""
    pipeline = Pipeline()
    pipeline.publish(segment("a"))
    await pipeline.cut()
    await pipeline.follow()
    bad = replace(PROOF, findings=2)
    await pipeline.area.create(bad.name, proof_json(bad))
    for number in range(KEPT_MAX):
        pipeline.area.files[other.format(number)] = b""
    assert (await last_proved(pipeline.area, now=NOW)).bad == bad
    found = await pipeline.verifier().verify(Level.ROWS)
    await keep_proof(pipeline.area, found, Extent(), now=NOW + timedelta(hours=1))
    assert bad.name in pipeline.area.files


async def test_proofs_of_any_size_and_number_are_not_read_again_and_again():
    """Each look at a store read a hundred files a hundred times, of 16 MiB each."""
    area, read = MemoryArea(), list[str]()
    get = area.get

    async def counted(name: str, *, bytes_max: int = 0) -> bytes:
        read.append(name)
        return await get(name, bytes_max=bytes_max)

    area.get = counted  # type: ignore[method-assign]
    for number in range(10):
        bad = replace(PROOF, proved_at=NOW - timedelta(hours=2 * number + 2), findings=1)
        good = replace(bad, proved_at=bad.proved_at + timedelta(hours=1), findings=0)
        for one in (bad, good):
            await area.create(one.name, proof_json(one))
    await area.create(PROOF.name, proof_json(PROOF) + b" " * PROOF_BYTES_MAX)
    found = await last_proved(area, now=NOW)
    assert (found.bad, found.good_at["checksum"]) == (None, NOW - timedelta(hours=1))
    assert len(read) == len(set(read))


def test_names_say_when_a_level_was_last_good():
    later = replace(PROOF, proved_at=NOW + timedelta(hours=1), findings=2)
    rows = replace(PROOF, level="rows", proved_at=NOW - timedelta(days=1))
    part = replace(PROOF, level="exists", partial=True)
    names = [PROOF.name, later.name, rows.name, part.name, "proofs/else.txt"]
    names += [f"proofs/{time}-rows-good.json" for time in NO_TIMES]
    assert last_good(names) == {"checksum": NOW, "rows": NOW - timedelta(days=1)}


async def test_proofs_are_kept_in_the_store_and_the_oldest_go():
    pipeline = Pipeline()
    pipeline.publish(segment("a"))
    await pipeline.cut()
    await pipeline.follow()
    found = await pipeline.verifier().verify(Level.CHECKSUM)
    for number in range(3):
        when = NOW + timedelta(minutes=number)
        assert (await keep_proof(pipeline.area, found, Extent(), now=when)).share == 1.0
    names = [name for name in pipeline.area.files if name.startswith("proofs/")]
    assert len(names) == 3
    for number in range(KEPT_MAX):
        old = replace(PROOF, proved_at=NOW - timedelta(minutes=number + 1))
        pipeline.area.files[old.name] = proof_json(old)
    await keep_proof(pipeline.area, found, Extent(), now=NOW + timedelta(hours=1))
    names = [name for name in pipeline.area.files if name.startswith("proofs/")]
    assert len(names) == KEPT_MAX
    assert PROOF.name in names or min(names) > PROOF.name
