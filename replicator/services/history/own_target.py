"""Tells a source from one of its own targets, which a configuration may name in its place.

The rows of both are nearly the same. A log of a target's rows would have suspended supervisors and
rewritten load specs, and the true source in the target's place would get them.
"""

from replicator.errors import ConfigError
from replicator.ports import WatchedReader

HINT = (
    "`source` and the target are exchanged: correct source.metadata; if it is to be the source from"
    " now on, promote it first. A target that is replicated on is a source of its own: give it"
    " another source.name"
)


async def refuse_own_target(metadata: WatchedReader, source: str) -> None:
    """Require that a source is none of its own targets.

    Raises:
        ConfigError: it is one; nothing of it is believed.
        TransientError: the store is unreachable.
    """
    if source in await metadata.followed():
        raise ConfigError(
            f"the metadata store of source {source!r} is a target of it: an applier writes its"
            " rows",
            hint=HINT,
        )
