"""The log of one configuration, with the targets' archives for what it was trimmed of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from replicator.app.logs import event_log, is_same_log, log_heir
from replicator.app.wiring.histories import HistorySource, history_of
from replicator.errors import ConfigError
from replicator.services.store.spliced_log import SplicedLog

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from replicator.app.configured.source import ConfiguredSource
    from replicator.app.configured.targets import ConfiguredTargets
    from replicator.app.logs import Log
    from replicator.app.monitoring import Monitoring
    from replicator.app.wiring.histories import Tools
    from replicator.app.wiring.pipeline import Pipeline
    from replicator.config import Settings
    from replicator.services.history.reader import History
    from replicator.services.replication.log_mover import LogMover


class RecordedLog:
    """The configured log and its histories; without one everything raises a ConfigError.

    Args:
        settings: What is configured.
        environ: Environment of the process, which has the secrets.
        opened: Closes the log at the end.
        source: The source that the log is of.
        targets: The targets whose archives have what the log was trimmed of.
        tools: Everything that the services of one process share.
        monitoring: Makes the observer of what is read.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        opened: AsyncExitStack,
        *,
        source: ConfiguredSource,
        targets: ConfiguredTargets,
        tools: Tools,
        monitoring: Monitoring,
    ) -> None:
        self._settings, self._environ, self._opened = settings, environ, opened
        self._source, self._targets = source, targets
        self._tools, self._monitoring = tools, monitoring

    @cached_property
    def log(self) -> Log:
        """The log itself, closed at the end of the process."""
        log = event_log(
            self._settings.recorded, self._source.name, self._tools.clock, self._environ
        )
        self._opened.push_async_callback(log.close)
        return log

    @cached_property
    def whole(self) -> History:
        """History of the log, with the archives of all targets where the log was trimmed."""
        return self.history(self._targets.names)

    @cached_property
    def polled(self) -> History:
        """The same for who looks at it again and again: a store that is away hides no other."""
        return self.history(self._targets.names, preferred=False)

    def history(self, names: Sequence[str], *, preferred: bool = True) -> History:
        """Return the log's history, with the archives of some targets for what the log lacks.

        `preferred` as for `SplicedLog`.
        """
        feeding = self.feeding(names, preferred=preferred)
        return history_of(feeding, self._tools, self._monitoring.observer())

    def feeding(self, names: Sequence[str], *, preferred: bool = True) -> HistorySource:
        """Return where the rows of targets come from, with archives as for `history`."""
        stores = partial(self._targets.stores, names)
        log = SplicedLog(self.log, stores, preferred=preferred)
        return HistorySource(
            source=self._source.name, layout=self._source.layout, log=log, bases=log
        )

    async def pipeline(self, name: str) -> Pipeline:
        """Return the services of one target, fed from the log."""
        from replicator.app.wiring.pipeline import open_pipeline  # noqa: PLC0415 - a look does without

        return await open_pipeline(self.feeding([name]), self._targets.target(name), self._tools)

    def mover(self, wanted: Settings) -> LogMover:
        """Return the service that moves the log to the place that other settings name.

        Raises:
            ConfigError: they are of another source, or name this log itself.
        """
        from replicator.services.replication.log_mover import (  # noqa: PLC0415 - for one verb
            LogMover,
        )

        if wanted.watched.name != self._source.name:
            raise ConfigError(
                f"that configuration is of source {wanted.watched.name!r}, and this one of"
                f" {self._source.name!r}: a log keeps its source"
            )
        if is_same_log(wanted.recorded, self._settings.recorded):
            raise ConfigError(
                "both configurations name the same log",
                hint="change `log` in a copy of the configuration, and name that one",
            )
        heir = log_heir(wanted.recorded, self._source.name, self._environ)
        self._opened.push_async_callback(heir.close)
        return LogMover(self.log, heir, self._monitoring.observer())
