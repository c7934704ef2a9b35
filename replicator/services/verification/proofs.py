"""Keeps the results of verifications in the target's store, for `status`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.extent import Extent
from replicator.model.store.proof import (
    PROOF_BYTES_MAX,
    PROOFS,
    Coverage,
    Proof,
    by_time,
    coverage,
    proof_json,
    proof_of,
)
from replicator.ports import Area
from replicator.services.verification.verifier import Verification

KEPT_MAX = 1000
"""Number of proofs that are kept; with one a day, almost three years."""
READ_MAX = 100
"""Number of the newest proofs that are read for the coverage, and of those of later times."""
COVERED_WITHIN = timedelta(days=30)
"""Age above which a proof of bytes no longer counts as coverage."""


async def keep_proof(
    area: Area,
    verification: Verification,
    extent: Extent,
    *,
    disagreements: int = 0,
    now: datetime,
) -> Coverage:
    """Record how a verification ended; return the share that recent good ones have covered.

    `disagreements` are the intervals on which two Brokers differ.
    """
    proof = Proof(
        proved_at=now,
        level=verification.level.value,
        cut=verification.checkpoint.cut,
        offset=verification.checkpoint.offset,
        share=extent.share,
        window=extent.window,
        partial=extent.datasource is not None or extent.interval is not None,
        objects=verification.objects,
        read_bytes=verification.read_bytes,
        left=verification.left,
        findings=verification.findings_count + disagreements,
        structure=extent.structure,
    )
    await area.create(proof.name, proof_json(proof))
    # A machine whose clock was ahead has written proofs of later times: they must not push out the
    # true ones.
    past, later = by_time(await area.names(f"{PROOFS}/"), now)
    for name in past[:-KEPT_MAX]:
        await area.delete(name)
    proofs, faults = await _read(area, [*past[-READ_MAX:], *later[-READ_MAX:]])
    return replace(coverage(proofs, now=now, within=COVERED_WITHIN), faults=tuple(faults))


async def _read(area: Area, names: Sequence[str]) -> tuple[list[Proof], list[str]]:
    """Return the proofs, and a message for each that cannot be read."""
    found, faults = list[Proof](), list[str]()
    for name in names:
        try:
            found.append(proof_of(name, await area.get(name, bytes_max=PROOF_BYTES_MAX)))
        except NotFoundError:
            continue  # deleted meanwhile, as too old
        except CorruptionError as exc:
            faults.append(f"{exc}; it does not count")
    return found, faults
