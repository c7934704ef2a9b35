"""Fixtures of the servers; a test module that wants them names this one in `pytest_plugins`.

Nothing imports this module: pytest rewrites its assertions, and can do so on the first import only.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from replicator.adapters.embedded_postgresql import start, stop
from tests.servers.postgresql import Postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    # not below tmp_path: root's is closed to the user that the server runs as
    parent = Path(tempfile.mkdtemp(prefix="replicator-test-pg-"))
    parent.chmod(0o755)
    data_dir = parent / "data"
    try:
        yield Postgresql(asyncio.run(start(data_dir, fsync=False)), data_dir)
    finally:
        asyncio.run(stop(data_dir))
        shutil.rmtree(parent)


@pytest.fixture
async def druid_dsn(postgresql: Postgresql) -> AsyncIterator[str]:
    """A fresh database with the tables of Druid 33."""
    async with postgresql.database() as dsn:
        yield dsn
