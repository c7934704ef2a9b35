"""What the start of a verb may not import: each of these costs more than what the verb does.

A counter, because seconds depend on the machine; `bench/start.py` measures them.
"""

import subprocess
import sys

import pytest

CLIENTS = frozenset({"aioboto3", "aiohttp", "aiokafka", "asyncmy", "google", "obstore"})
HEAVY = CLIENTS | {"cryptography", "numpy", "prometheus_client", "rich.progress"}
STATUS = (
    "replicator.cli.look.status",
    "replicator.app.wiring.metadata",
    "replicator.cli.terminal.loop",
    "replicator.cli.terminal.screen",
)
"""What `status` imports of a source on PostgreSQL, a standby there and an archive."""
VALIDATE = ("replicator.cli.set_up.config",)
HELP = ("replicator.cli.main",)


@pytest.mark.parametrize(
    ("modules", "barred"),
    [
        (STATUS, HEAVY | {"replicator.app.wiring.pipeline", "replicator.web.metrics"}),
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
