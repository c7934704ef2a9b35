"""What the start of a verb may not import: each of these costs more than what the verb does.

A counter, because seconds depend on the machine; `bench/start.py` measures them.
"""

import subprocess
import sys

import pytest

CLIENTS = frozenset({"aioboto3", "aiohttp", "aiokafka", "asyncmy", "google", "obstore"})
HEAVY = CLIENTS | {"cryptography", "numpy", "prometheus_client", "rich.progress"}
NOT_BY_STATUS = {
    "replicator.app.wiring.pipeline",
    "replicator.web.metrics",
    "replicator.adapters.archive_metadata",
    "replicator.adapters.bucket",
    "replicator.adapters.postgresql.fitness",
    "replicator.adapters.postgresql.snapshot",
    "replicator.adapters.postgresql.stream",
    "replicator.adapters.signing.storage",
    "replicator.cli.terminal.screen",
    "replicator.model.druid.promotion",
    "replicator.model.inventory.ledger",
    "replicator.model.log.locations",
    "replicator.model.log.reading",
    "replicator.model.observation",
    "replicator.model.observed.faults",
    "replicator.model.operations.job",
    "replicator.model.operations.retry",
    "replicator.model.operations.rotation",
    "replicator.model.plans.cost",
    "replicator.model.store.drill",
    "replicator.model.stream",
    "replicator.model.versions",
    "replicator.ports.druid",
    "replicator.ports.notifications",
    "replicator.services.monitoring.canary",
    "replicator.services.monitoring.poller",
    "replicator.services.notifications",
    "replicator.services.running.heart",
    "replicator.services.schedules",
    "replicator.services.store.witness",
}
"""Modules of what is not configured, or of what `status` never does."""
STATUS = (
    "replicator.cli.look.status",
    "replicator.app.wiring.metadata",
    "replicator.cli.terminal.loop",
)
"""What `status` imports of a source on PostgreSQL, a standby there and an archive."""
MADE = (
    "from replicator.app import Application;"
    " from replicator.config.file.loading import settings_of;"
    " made = Application(settings_of({values}, 'it'), {{}}, print);"
    " made.monitoring.observer('standby'); made.status_reader();"
)
WATCHED = {
    "source": {
        "name": "production",
        "metadata": {"type": "postgresql", "url": "postgresql://reader@localhost/druid"},
        "deep_storage": {"type": "local", "root": "/var/druid/segments"},
    },
    "log": {"type": "sqlite", "path": "/var/replicator/log.sqlite"},
    "web": {"listen": "127.0.0.1:9187"},
}
VALIDATE = ("replicator.cli.set_up.config",)
HELP = ("replicator.cli.main",)


@pytest.mark.parametrize(
    ("modules", "barred"),
    [
        (STATUS, HEAVY | NOT_BY_STATUS),
        (VALIDATE, HEAVY | {"asyncio", "asyncpg", "replicator.app", "replicator.services"}),
        (HELP, HEAVY | {"asyncio", "asyncpg", "pydantic", "yaml", "replicator.config"}),
    ],
    ids=["status", "config validate", "--help"],
)
def test_a_start_imports_nothing_heavy(modules: tuple[str, ...], barred: frozenset[str]):
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert set(modules) <= imported
    assert imported & barred == set()


def test_an_application_with_a_port_counts_nothing_until_something_happens():
    """Prometheus' library is for those who count and are asked; `status` is neither."""
    code = MADE.format(values=WATCHED) + " import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"replicator.app.monitoring"} <= (imported := set(done.stdout.split()))
    assert imported & {"prometheus_client", "replicator.web.metrics"} == set()
