"""Notifications of one configured application: receivers, subjects and services."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

from replicator.adapters.sqlite.journal import SqliteJournal
from replicator.config import AddressSettings, DeadMansSwitchSettings, NotificationsSettings
from replicator.errors import ConfigError
from replicator.model.observation import Observer
from replicator.model.operations.notification import key_of
from replicator.ports import Clock
from replicator.ports.notifications import Caller
from replicator.services.monitoring.poller import Poller
from replicator.services.notifications.dead_mans_switch import DeadMansSwitch
from replicator.services.notifications.queues import WebhookQueue, webhook_queues
from replicator.services.notifications.sender import Sender, Webhook
from replicator.services.notifications.watch import PromiseWatch, WatchRules
from replicator.services.running.supervisor import Service

# The HTTP client takes a while to import, so it is imported only where notifications are sent.


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifying:
    """The parts shared by all notification services."""

    source: str
    settings: NotificationsSettings
    environ: Mapping[str, str]
    clock: Clock
    rng: Random
    observer: Observer

    def journal(self) -> SqliteJournal:
        """Return the journal; nothing is written before its first use."""
        return SqliteJournal(
            self.settings.journal(self.source),
            waiting_max=self.settings.waiting_max,
            kept_max=self.settings.kept_max,
        )

    def watch(self, poller: Poller) -> PromiseWatch:
        """Return the service that records notifications."""
        rules = WatchRules(
            source=self.source,
            webhooks={name: one.about for name, one in self.settings.webhooks.items()},
            settle=self.settings.settle,
            interval_s=self.settings.look_interval_s,
        )
        return PromiseWatch(
            rules,
            poller,
            self.journal(),
            clock=self.clock,
            rng=self.rng,
            observer=self.observer,
        )

    async def queues(self) -> list[WebhookQueue]:
        """Return what is on its way to each webhook."""
        return await webhook_queues(self.journal(), self.settings.webhooks)

    def services(self, watch: PromiseWatch) -> Mapping[str, Service]:
        """Return the services that deliver, and the dead man's switch.

        Raises:
            ConfigError: an address or a secret cannot be read, or is none.
        """
        found: dict[str, Service] = {"notifications": watch}
        for name in self.settings.webhooks:
            found[f"webhook {name}"] = self.sender(name)
        if (switch := self.settings.dead_mans_switch) is not None:
            found["dead man's switch"] = DeadMansSwitch(
                self.switch_caller(switch),
                is_well=lambda: watch.is_well,
                every_s=switch.every.total_seconds(),
                observer=self.observer,
            )
        return found

    def switch_caller(self, settings: DeadMansSwitchSettings) -> Caller:
        """Return what calls the dead man's switch.

        Raises:
            ConfigError: its address cannot be read, or is none.
        """
        return self._caller("dead_mans_switch", settings)

    def sender(self, name: str) -> Sender:
        """Return the service that delivers to one webhook.

        Raises:
            ConfigError: there is no such webhook, or its address or secret is none.
        """
        settings = self.settings.webhooks.get(name)
        if settings is None:
            known = ", ".join(sorted(self.settings.webhooks)) or "none"
            raise ConfigError(f"there is no webhook {name!r} in the configuration; it has {known}")
        with _named(f"webhooks.{name}"):
            key_of(settings.secret(self.environ))
        webhook = Webhook(
            name=name,
            caller=self._caller(f"webhooks.{name}", settings),
            secret=lambda: settings.secret(self.environ),
            timeout_s=settings.request_timeout_s,
        )
        return Sender(
            webhook,
            self.journal(),
            retry=self.settings.retry.policy,
            clock=self.clock,
            rng=self.rng,
            observer=self.observer,
        )

    def _caller(self, where: str, settings: AddressSettings) -> Caller:
        from replicator.adapters.webhook import HttpCaller  # noqa: PLC0415 - see above

        with _named(where):
            settings.address(self.environ)
        return HttpCaller(
            lambda: settings.address(self.environ),
            ca_file=settings.ca_file,
            timeout_s=settings.request_timeout_s,
        )


@contextmanager
def _named(where: str) -> Generator[None]:
    """Name the setting of which a failure is."""
    try:
        yield
    except ConfigError as exc:
        raise ConfigError(f"notifications.{where}: {exc}", hint=exc.hint) from exc
