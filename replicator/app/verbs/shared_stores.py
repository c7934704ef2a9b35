"""Whether two clusters are one, or have their bytes in one place, however that is written."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from replicator.app.application import Application
from replicator.config import LocalStorageSettings, Settings, SourceSettings, TargetSettings
from replicator.config.checks import collisions
from replicator.errors import ConfigError, ReplicatorError
from replicator.services.history.own_target import refuse_own_target
from replicator.services.records.store_id import store_id


async def refuse_exchanged(application: Application) -> None:
    """Refuse a source that is one of its own targets, before anything is adopted.

    Raises:
        ConfigError: it is one.
        TransientError: the source is unreachable.
    """
    watched = application.settings.watched
    await refuse_own_target(application.source_metadata(), watched.name)


async def refuse_shared(application: Application) -> None:
    """Refuse folders that links make one, and targets whose stores have the same id.

    An unreachable store is not compared.

    Raises:
        ConfigError: two names lead to the same store.
    """
    for problem in await asyncio.to_thread(_behind_links, application.settings):
        raise ConfigError(
            f"{problem}, by the folders that their links lead to",
            hint="give each a folder of its own",
        )
    owners = dict[str, str]()
    for name in application.target_names:
        found = None
        with suppress(ReplicatorError):  # whoever needs that store reports what is wrong with it
            found = await store_id(application.target(name).area())
        if found is None:
            continue
        if (owner := owners.setdefault(found, name)) != name:
            raise ConfigError(
                f"targets.{owner}.deep_storage and targets.{name}.deep_storage are one store"
                f" (id {found}): each would delete what the other needs",
                hint=f"give targets.{name} a store of its own. If one is a copy of the other, with"
                f" `_replicator/`, remove `_replicator/store.json` from the copy",
            )


_Part = TypeVar("_Part", SourceSettings, TargetSettings)


def _behind_links(settings: Settings) -> list[str]:
    """Return the clusters that would write into each other, by their folders' real paths."""
    source = None if settings.source is None else _resolved(settings.source)
    targets = {name: _resolved(target) for name, target in settings.targets.items()}
    return [*collisions(source, targets)]


def _resolved(part: _Part) -> _Part:
    storage = part.deep_storage
    if not isinstance(storage, LocalStorageSettings):
        return part
    real = storage.model_copy(update={"root": Path(os.path.realpath(storage.root))})
    return part.model_copy(update={"deep_storage": real})
