"""Names a store, so that a target's rows and its bytes are known to belong together.

A target's metadata store keeps the id of the store that its rows' bytes are in. A folder that is
not mounted, a bucket that was exchanged and two targets of one metadata store are seen by it.
"""

import uuid
from dataclasses import dataclass

from replicator.errors import NotFoundError, RefusedError
from replicator.model.checkpoint import TargetState
from replicator.model.document import Name, Shape, written
from replicator.ports import Area

NAME = "store.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoreNote:
    store: Name


_NOTE = Shape(_StoreNote, "take it from a copy of this store")


async def store_id(area: Area) -> str | None:
    """Return the store's id; None if nothing was ever written to it.

    Raises:
        CorruptionError: its file cannot be read.
        TransientError, ConfigError: as for `Area`.
    """
    try:
        return _NOTE.read(NAME, await area.get(NAME)).store
    except NotFoundError:
        return None


def refuse_other_store(target: str, state: TargetState, store: str | None) -> None:
    """Refuse a target whose rows were written for the bytes in another store than it has.

    Args:
        target: Name of the target.
        state: What its metadata store remembers.
        store: Id of the store that is configured, None for one without.

    Raises:
        RefusedError: they do not belong together.
    """
    if state.store in {None, store}:
        return
    at = "" if state.checkpoint is None else f", at cut {state.checkpoint.cut},"
    raise RefusedError(
        f"target {target!r}: the rows in its metadata store{at} belong to the bytes of another deep"
        f" storage than the configured one, which has {_named(store)} and not {state.store}",
        hint=f"correct targets.{target}.deep_storage (is it mounted?) or targets.{target}.metadata"
        " (is it another target's?). A store that was moved needs all of its files, those in"
        f" `_replicator/` too. If its bytes are lost, `replicator apply {target} --once --adopt`"
        " copies all of them again",
    )


def _named(store: str | None) -> str:
    return "no store id" if store is None else f"store id {store}"


async def made_store_id(area: Area) -> str:
    """Return the store's id, and give it one if it has none.

    Raises:
        CorruptionError, TransientError, ConfigError: as for `store_id`.
    """
    if (found := await store_id(area)) is not None:
        return found
    made = uuid.uuid4().hex
    if await area.create(NAME, written({"store": made})):
        return made
    return await made_store_id(area)  # another process was quicker
