"""The panorama of one configured application: what looks at everything for page and API."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from replicator.app.application import Application
from replicator.app.verbs.schedules import scheduled_lines
from replicator.app.verbs.webhooks import webhook_queues
from replicator.app.wiring.target import store_of
from replicator.services.inspection.chronicle import Chronicle
from replicator.services.monitoring.poller import Poller
from replicator.services.monitoring.status import look_at_source
from replicator.services.running.patience import Patience
from replicator.services.schedules.states import LineState, line_states
from replicator.web.notes import NotesReader
from replicator.web.panorama import Panorama, Surroundings


def panorama(application: Application, poller: Poller) -> Panorama:
    """Return what looks beside the poller of an application whose `web` is set.

    Args:
        application: What is configured.
        poller: Looks at log and targets; its owner runs it.
    """
    web = application.settings.web
    assert web is not None  # noqa: S101 - there is a poller, which its port needs
    return Panorama(
        poller=poller,
        chronicle=Chronicle(application.recorded.polled),
        notes={name: _notes(application, name) for name in poller.names},
        surroundings=Surroundings(
            life=application.processes.life,
            source=partial(look_at_source, application.source.metadata()),
            schedules=partial(
                _schedules,
                application,
                sorted(poller.names),
                Patience(application.settings.look_timeout_s),
            ),
            webhooks=partial(webhook_queues, application),
            retention=_retention(application),
            archives=_archives(application),
        ),
        clock=application.clock,
        interval_s=web.status_interval_s,
        records_per_look_max=web.records_per_look_max,
        timeout_s=application.settings.look_timeout_s,
    )


async def _schedules(
    application: Application, names: Sequence[str], patience: Patience
) -> Sequence[LineState]:
    return await line_states(scheduled_lines(application, names), application.clock.now(), patience)


def _retention(application: Application) -> dict[str, timedelta]:
    found = {name: one.retention for name, one in application.settings.targets.items()}
    return {name: retention for name, retention in found.items() if retention is not None}


def _archives(application: Application) -> frozenset[str]:
    targets = application.settings.targets.items()
    return frozenset(name for name, one in targets if one.metadata is None)


def _notes(application: Application, name: str) -> NotesReader:
    target = application.target(name)
    return NotesReader(
        source=application.source.name,
        metadata=target.metadata,
        area=target.area(),
        store=partial(store_of, target),
        clock=application.clock,
        has_canary=application.settings.canary is not None,
        timeout_s=application.settings.look_timeout_s,
    )
