"""Whether two clusters are one, or have their bytes in one place, however that is written."""

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from replicator.adapters.machine.threads import answers
from replicator.app.application import Application
from replicator.config import LocalStorageSettings, Settings, SourceSettings, TargetSettings
from replicator.config.checks import collisions
from replicator.errors import ConfigError, ReplicatorError, defects_named
from replicator.services.history.own_target import refuse_own_target
from replicator.services.records.store_id import store_id
from replicator.task_group import TaskGroup


async def refuse_exchanged(application: Application) -> None:
    """Refuse a source that is one of its own targets, before anything is adopted.

    Raises:
        ConfigError: it is one.
        TransientError: the source is unreachable.
    """
    watched = application.settings.watched
    await refuse_own_target(application.source.metadata(), watched.name)


async def refuse_shared(application: Application) -> None:
    """Refuse folders that links make one, and targets whose stores have the same id.

    An unreachable store is not compared, nor one that its target's rows do not belong to: the
    target's own service refuses that, and whoever wrote the id there stops no other target.

    Raises:
        ConfigError: two names lead to the same store.
    """
    for problem in await _behind_links(application.settings):
        raise ConfigError(
            f"{problem}, by the folders that their links lead to",
            hint="give each a folder of its own",
        )
    ids, owners = await _ids(application), dict[str, str]()
    twice = {found for found, count in Counter(ids.values()).items() if count > 1}
    for name, found in ids.items():
        if found in twice and await _is_of_another(application, name, found):
            continue
        if (owner := owners.setdefault(found, name)) != name:
            raise ConfigError(
                f"targets.{owner}.deep_storage and targets.{name}.deep_storage are one store"
                f" (id {found}): each would delete what the other needs",
                hint=f"give targets.{name} a store of its own. If one is a copy of the other, with"
                f" `_replicator/`, remove `_replicator/store.json` from the copy",
            )


async def _ids(application: Application) -> dict[str, str]:
    """Return the ids of the stores that can be reached, by their targets."""
    found = dict[str, str]()

    async def ask(name: str) -> None:
        # the verb that needs that store reports what is wrong
        with suppress(ReplicatorError), defects_named(f"the store of target {name!r}"):
            if (id_ := await store_id(application.target(name).area())) is not None:
                found[name] = id_

    async with TaskGroup() as group:
        for name in application.target_names:
            group.create_task(ask(name))
    return {name: found[name] for name in application.target_names if name in found}


async def _is_of_another(application: Application, name: str, found: str) -> bool:
    """Return whether a target's rows were written for another store than the one with this id."""
    try:
        with defects_named(f"target {name!r}"):
            state = await application.target(name).metadata.state(application.source.name)
    except ReplicatorError:
        return False
    return state.store not in {None, found}


_Part = TypeVar("_Part", SourceSettings, TargetSettings)
LINKS_WITHIN_S: Final = 10.0
"""How long a folder may take to say where its links lead; one that hangs is not compared."""


async def _behind_links(settings: Settings) -> list[str]:
    """Return the clusters that would write into each other, by their folders' real paths."""
    storages = [target.deep_storage for target in settings.targets.values()]
    if settings.source is not None:
        storages.append(settings.source.deep_storage)
    roots = {str(one.root) for one in storages if isinstance(one, LocalStorageSettings)}
    calls = {root: partial(os.path.realpath, root) for root in roots}
    real = await answers(calls, within_s=LINKS_WITHIN_S)
    source = None if settings.source is None else _resolved(settings.source, real)
    targets = {name: _resolved(target, real) for name, target in settings.targets.items()}
    return [*collisions(source, targets)]


def _resolved(part: _Part, real: Mapping[str, str]) -> _Part:
    storage = part.deep_storage
    if not isinstance(storage, LocalStorageSettings):
        return part
    root = str(storage.root)
    found = storage.model_copy(update={"root": Path(real.get(root, root))})
    return part.model_copy(update={"deep_storage": found})
