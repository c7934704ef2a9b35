"""What the small documents in `golden/store-v1/` mean, written out.

A golden document is never changed: a store outlives the release that wrote it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from replicator.adapters.archive_metadata import State, state_json, state_of
from replicator.model.checkpoint import OBJECT_MISSING, Checkpoint, Gap
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.fingerprint import Digest
from replicator.model.load_spec import Location
from replicator.model.store.head import Head, head_json, head_of
from replicator.model.store.holds import (
    Hold,
    NamedPoint,
    RestoreLease,
    hold_json,
    hold_of,
    lease_json,
    lease_of,
    point_json,
    point_of,
)
from replicator.model.store.intent import (
    Intent,
    IntentDone,
    LaterEnd,
    done_json,
    done_of,
    intent_json,
    intent_of,
    until_json,
    until_of,
)
from replicator.model.store.proof import Proof, proof_json, proof_of
from replicator.model.store.seal import Seal, digest_of, seal_json, seal_name, seal_of

TIME = datetime(2024, 5, 1, 12, 30, 0, 250_000, tzinfo=UTC)
LOG = "0f3a7c1e5b2d4968a1c0de55fade1234"
POINT = NamedPoint(
    name="before-migration",
    log_id=LOG,
    offset=Offset(4711),
    cut=CutNumber(12),
    source_time=TIME,
    created_at=TIME.replace(hour=13),
)
HOLD = Hold(point=POINT, reason="audit", until=None)
LEASE = RestoreLease(log_id=LOG, offset=Offset(4711), valid_until=TIME, lasts_s=600)
INTENT = Intent(
    number=3,
    log_id=LOG,
    horizon=Offset(900),
    before=Offset(400),
    valid_until=TIME,
    places=17,
    lasts_s=1800,
)
HEAD = Head(target="vault", log_id=LOG, offset=Offset(4711), cut=CutNumber(12), source_time=TIME)
PLACE = Location("wiki/0/index.zip")
SEAL = Seal(location=PLACE, sha256=digest_of([("", 7, "ab" * 32)]))
PROOF = Proof(
    proved_at=TIME,
    level="checksum",
    cut=CutNumber(12),
    offset=Offset(4711),
    share=0.25,
    window=3,
    partial=False,
    objects=41,
    read_bytes=123_456,
    left=0,
    findings=0,
)
STATE = State(
    number=7,
    epoch=Epoch(2),
    checkpoint=Checkpoint(
        source="prod",
        log_id=LOG,
        offset=Offset(4711),
        cut=CutNumber(12),
        source_time=TIME,
        digest=Digest(0xABC),
        paused=True,
    ),
    applied_at=TIME,
    gaps=(
        Gap(
            key="wiki_2024",
            datasource="wiki",
            reason=OBJECT_MISSING,
            detail="gone",
            opened=Offset(5),
            closed=Offset(9),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One document: the value that it holds, how that is written, and how it is read."""

    name: str
    """Of the file in a store."""
    value: Any
    write: Callable[[Any], bytes]
    read: Callable[[str, bytes], Any]


DOCUMENTS = {
    "point.json": Golden(
        name="points/before-migration.json", value=POINT, write=point_json, read=point_of
    ),
    "hold.json": Golden(
        name="holds/before-migration.json", value=HOLD, write=hold_json, read=hold_of
    ),
    "hold-until.json": Golden(
        name="holds/before-migration.json",
        value=replace(HOLD, until=TIME),
        write=hold_json,
        read=hold_of,
    ),
    "lease.json": Golden(name="restores/00ff.json", value=LEASE, write=lease_json, read=lease_of),
    "intent.json": Golden(
        name="expiry/0000000003.json",
        value=INTENT,
        write=intent_json,
        read=lambda name, data: intent_of(3, data),
    ),
    "until.json": Golden(
        name="expiry/0000000003.lease-1.json",
        value=LaterEnd(valid_until=TIME, lasts_s=1800),
        write=until_json,
        read=until_of,
    ),
    "done.json": Golden(
        name="expiry/0000000003.done.json",
        value=IntentDone(carried_out=True),
        write=done_json,
        read=done_of,
    ),
    "head.json": Golden(name=f"heads/vault/{LOG}.json", value=HEAD, write=head_json, read=head_of),
    "seal.json": Golden(name=seal_name(PLACE), value=SEAL, write=seal_json, read=seal_of),
    "proof.json": Golden(name=PROOF.name, value=PROOF, write=proof_json, read=proof_of),
    "state.json": Golden(
        name="state/prod/00000000000000000007.json", value=STATE, write=state_json, read=state_of
    ),
}
