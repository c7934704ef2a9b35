"""Whether two targets keep their bytes in one store, however its address is written."""

from contextlib import suppress

from replicator.app.application import Application
from replicator.errors import ConfigError, ReplicatorError
from replicator.services.records.store_id import store_id


async def refuse_shared(application: Application) -> None:
    """Refuse targets whose stores have the same id; a store that is away is nobody's.

    Raises:
        ConfigError: two names lead to one store.
    """
    owners = dict[str, str]()
    for name in application.target_names:
        found = None
        with suppress(ReplicatorError):  # whoever needs that store says what is wrong with it
            found = await store_id(application.target(name).area())
        if found is None:
            continue
        if (owner := owners.setdefault(found, name)) != name:
            raise ConfigError(
                f"targets.{owner}.deep_storage and targets.{name}.deep_storage are one store"
                f" (id {found}): each would delete what the other needs",
                hint=f"give targets.{name} a place of its own. If one is a copy of the other, with"
                f" `_replicator/`, remove `_replicator/store.json` from the copy",
            )
