"""A source that is one of its own targets was put there by mistake: nothing of it is believed."""

from dataclasses import replace

import pytest

from replicator.errors import ConfigError
from replicator.services.history.own_target import refuse_own_target
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline


async def test_a_target_in_the_place_of_its_source_is_not_watched():
    pipeline = Pipeline()
    pipeline.publish(segment("first"))
    await pipeline.cut()
    await pipeline.follow()
    end = (await pipeline.log.span()).end
    pipeline.source = pipeline.target
    with pytest.raises(ConfigError, match="is a target of it") as refused:
        await pipeline.new_watcher().poll()
    assert "exchanged" in refused.value.hint
    assert (await pipeline.log.span()).end == end


async def test_a_target_that_was_promoted_is_a_source():
    pipeline = Pipeline()
    pipeline.publish(segment("first"))
    await pipeline.cut()
    await pipeline.follow()
    (books,) = pipeline.target.sources.values()
    assert books.checkpoint is not None
    books.checkpoint = replace(books.checkpoint, promoted=True)
    await refuse_own_target(pipeline.target, SOURCE)
