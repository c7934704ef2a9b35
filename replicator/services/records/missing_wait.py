"""Records since when a target waits for missing bytes; a new process continues the same wait."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.document import Name, Natural, Shape, Time, written
from replicator.model.event import Offset
from replicator.ports import Area, Clock

NAME = "missing.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Rows whose bytes are missing, while a later cut may still show that they were killed."""

    keys: Sequence[str]
    until: datetime
    """When the missing bytes become gaps."""


@dataclass(frozen=True, slots=True)
class _AwaitedCut:
    """The position in a log at which a target waits."""

    log_id: str
    after: Offset | None
    """Offset of the target's checkpoint; None if nothing was applied yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _WaitNote:
    log_id: Name
    after: Natural | None
    since: Time


_NOTE = Shape(_WaitNote, "remove it, the wait starts again", formats=None)


class MissingWait:
    """How long a target waits at one position for an explanation of missing bytes."""

    def __init__(self, area: Area, clock: Clock, limit: timedelta) -> None:
        self._area, self._clock, self._limit = area, clock, limit
        self._begun: tuple[_AwaitedCut, datetime] | None = None

    async def until(self, log_id: str, after: Offset | None) -> datetime:
        """Return when the wait ends; it starts with the first call by any process.

        If the clock was set back since, the wait starts again, so it is never longer than its
        limit.

        Raises:
            TransientError, ConfigError: as for `Area`.
        """
        awaited = _AwaitedCut(log_id, after)
        begun = self._begun
        if begun is None or begun[0] != awaited or begun[1] > self._clock.now():
            self._begun = begun = awaited, await self._since(awaited)
        return begun[1] + self._limit

    def is_over(self, until: datetime) -> bool:
        """Return whether a wait that ends at `until` is over."""
        return self._clock.now() >= until

    async def end(self) -> None:
        """Delete the record of the wait: the target continues."""
        if self._begun is not None and self._limit:
            await self._area.delete(NAME)
        self._begun = None

    async def _since(self, awaited: _AwaitedCut) -> datetime:
        now = self._clock.now()
        if not self._limit:
            return now
        since = await self._noted(awaited)
        if since is not None and since <= now:
            return since
        note = {"log_id": awaited.log_id, "after": awaited.after, "since": now.isoformat()}
        await self._area.replace(NAME, written(note, None))
        return now

    async def _noted(self, awaited: _AwaitedCut) -> datetime | None:
        """Return the recorded start of a wait at this position; None also if it cannot be read."""
        try:
            note = _NOTE.read(NAME, await self._area.get(NAME))
        except (NotFoundError, CorruptionError):
            return None
        return note.since if (note.log_id, note.after) == (awaited.log_id, awaited.after) else None
