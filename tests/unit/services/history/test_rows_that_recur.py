"""A row may occur twice in a cut of the change stream: its last word counts for every reader."""

from dataclasses import replace

from replicator.model.event import RowChanged, RowRemoved
from replicator.model.fingerprint import fingerprint
from replicator.model.row import key_of
from replicator.model.stream import Lsn, StreamPosition
from replicator.services.history.cuts import CutReader
from tests.builders import segment
from tests.unit.pipeline import Pipeline


async def test_the_last_word_on_a_row_is_what_is_applied():
    pipeline = Pipeline()
    writer = pipeline.watcher._writer
    await writer.lead()
    first, gone = segment("a"), segment("b")
    second = replace(first, used=False)
    async with writer.cuts(rows_recur=True) as cuts:
        cuts.begin(pipeline.clock.now())
        await cuts.add(
            [
                RowChanged(row=first, fingerprint=fingerprint(first), previous=None),
                RowChanged(row=gone, fingerprint=fingerprint(gone), previous=None),
                RowRemoved(key=key_of(gone), previous=fingerprint(gone)),
                RowChanged(
                    row=second, fingerprint=fingerprint(second), previous=fingerprint(first)
                ),
            ]
        )
        await cuts.close(
            distrusts_versions=False, stream=StreamPosition(at=Lsn(1), identity="0" * 32)
        )
        await cuts.flush()
    span = await CutReader(pipeline.history()).next()
    assert span is not None
    assert span.offsets.tolist() == [2, 3]
    assert span.at.closed.count == 4
