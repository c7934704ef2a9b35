"""Identifies a store, so that a target's rows and bytes are known to belong together.

A target's metadata store keeps the id of the store with its rows' bytes. The id reveals a folder
that is not mounted, an exchanged bucket, and two targets in one metadata store. An archive's only
metadata store is its store, and it loses both at once: the log remembers its id as well.
"""

import uuid
from dataclasses import dataclass, replace
from typing import Protocol

from replicator.errors import ConfigError, CorruptionError, NotFoundError, RefusedError
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


class Reports(Protocol):
    """Memory of the stores of a source's targets: the source's log."""

    async def reported(self, reader: str) -> str | None:
        """Return the id of the store in which a target last reported, as `EventLog` does."""
        ...


async def with_reported(target: str, state: TargetState, reports: Reports) -> TargetState:
    """Return a target's state, with the store's id from the log if the target has none.

    Raises:
        TransientError: the log is unreachable.
        CorruptionError: the log's answer cannot be read.
    """
    if state.checkpoint is not None or state.store is not None:
        return state
    return replace(state, store=await remembered(target, reports))


async def remembered(target: str, reports: Reports) -> str | None:
    """Return the id that the log remembers of a target's store; None if it knows none.

    Raises:
        TransientError, CorruptionError: as for `with_reported`.
    """
    try:
        return await reports.reported(target)
    except (ConfigError, NotFoundError):
        return None  # a log that is missing, or denies the question, remembers nothing either


async def store_id_fault(area: Area) -> str | None:
    """Return what is wrong with the id of a store that has a history.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    try:
        if await store_id(area) is not None:
            return None
    except CorruptionError as exc:
        return str(exc)
    return f"{NAME} is missing: nothing tells this store from another one"


def refuse_other_store(target: str, state: TargetState, store: str | None) -> None:
    """Refuse a target whose rows were written for bytes in another store.

    Args:
        target: Name of the target.
        state: The state in its metadata store.
        store: Id of the configured store, None if it has none.

    Raises:
        RefusedError: rows and store do not belong together.
    """
    if state.store in {None, store}:
        return
    if state.checkpoint is None:
        raise RefusedError(
            f"target {target!r} was followed in another store, with id {state.store}; the"
            f" configured one has {_named(store)} and no checkpoint: it was emptied or exchanged",
            hint=f"correct targets.{target}.deep_storage (is it mounted?), or bring back what it"
            f" held. If that is lost, `replicator apply {target} --once --adopt` begins the target"
            " anew: earlier cuts, holds and proofs stay lost",
        )
    raise RefusedError(
        f"target {target!r}: the rows in its metadata store, at cut {state.checkpoint.cut}, belong"
        " to the bytes of another deep storage than the configured one, which has"
        f" {_named(store)} and not {state.store}",
        hint=f"correct targets.{target}.deep_storage (is it mounted?) or targets.{target}.metadata"
        " (is it another target's?). A store that was moved needs all of its files, those in"
        f" `_replicator/` too. If its bytes are lost, `replicator apply {target} --once --adopt`"
        " copies all of them again",
    )


async def require_own_store(target: str, state: TargetState, area: Area, reports: Reports) -> None:
    """Refuse a target that was followed in another store.

    Raises:
        RefusedError: its metadata store, or the log, names another store.
        TransientError, ConfigError, CorruptionError: one of them cannot be read.
    """
    state = await with_reported(target, state, reports)
    if state.store is not None:
        refuse_other_store(target, state, await store_id(area))


def _named(store: str | None) -> str:
    return "no store id" if store is None else f"store id {store}"


async def made_store_id(area: Area, *, before: str | None = None) -> str:
    """Return the store's id, and give it one if it has none: that of `before`, if there was one.

    Raises:
        CorruptionError, TransientError, ConfigError: as for `store_id`.
    """
    if (found := await store_id(area)) is not None:
        return found
    made = before or uuid.uuid4().hex
    if await area.create(NAME, written({"store": made})):
        return made
    return await made_store_id(area, before=before)  # another process was quicker
