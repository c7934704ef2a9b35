"""A proof beside an applier that goes on: its rows are none of a stranger."""

import pytest

from replicator.errors import TransientError
from replicator.model.checkpoint import Checkpoint
from replicator.model.store.proof import Level
from replicator.services.target.reconciler import Reconciliation
from replicator.services.verification.verifier import COMPARISONS_MAX, Verifier
from tests.builders import segment
from tests.unit.pipeline import Pipeline


@pytest.mark.parametrize("moves", [1, COMPARISONS_MAX])
async def test_rows_of_a_cut_that_was_committed_meanwhile_are_no_difference(
    monkeypatch: pytest.MonkeyPatch, moves: int
):
    pipeline = Pipeline()
    pipeline.publish(segment(partition=0))
    await pipeline.cut()
    await pipeline.follow()
    compare, done = Verifier.compare, list[int]()

    async def after_a_cut(
        self: Verifier, checkpoint: Checkpoint, datasource: str | None
    ) -> Reconciliation:
        if len(done) < moves:
            done.append(1)
            pipeline.publish(segment(partition=len(done)))
            await pipeline.cut()
            await pipeline.follow()
        return await compare(self, checkpoint, datasource)

    monkeypatch.setattr(Verifier, "compare", after_a_cut)
    verifier = pipeline.verifier()
    if moves < COMPARISONS_MAX:
        assert (await verifier.verify(Level.ROWS)).is_good
    else:
        with pytest.raises(TransientError, match="moved on during each of 5 comparisons"):
            await verifier.verify(Level.ROWS)
