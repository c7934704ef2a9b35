"""Results of the canary, as far as the targets' stores can be read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from replicator.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replicator.app.application import Application
    from replicator.model.store.canary import CanarySummary


async def canary_summaries(application: Application, targets: Iterable[str]) -> list[CanarySummary]:
    """Return the canary's results for each target whose store can be read; without canary none."""
    if application.settings.canary is None:
        return []
    from replicator.services.monitoring.canary import kept_canary  # noqa: PLC0415 - few have one

    found = []
    for name in targets:
        with suppress(TransientError, ConfigError):  # the target's own status reports it
            if (one := await kept_canary(application.target(name).area())) is not None:
                found.append(one)
    return found
