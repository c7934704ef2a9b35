"""From a publish at the source to an answer of the standby: two real Druids, a real Kafka.

A task appends one row; the clock runs from the moment at which its segment is committed, by the
source database's clock, to the moment at which the standby's Broker counts it. Needs a JDK 17.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from tests.acceptance.druids import Cluster, User, cluster, kafka_log, write_config
from tests.servers.kafka import Kafka
from tests.servers.postgresql import connected, started
from tests.servers.process import processes

POLL_S, DRUID_S, MARGIN_S = 0.5, 3.0, 2.0
"""Our own poll interval; what Druid takes to load, its polls set to one second; the goal's rest."""
COUNT = 'SELECT COUNT(*) AS "rows" FROM "wiki"'


async def appended(source: Cluster, number: int) -> datetime:
    """Append a row and return when it was committed."""
    row = {"__time": f"2026-01-01T{number % 24:02}:00:00Z", "page": "a", "n": number}
    await source.client.load("wiki", [row], append=number > 0)
    async with connected(source.dsn) as connection:
        text: str = await connection.fetchval("SELECT max(created_date) FROM druid_segments")
    return datetime.fromisoformat(text)


async def counted(one: Cluster, rows: int) -> datetime:
    """Wait until a Broker counts so many rows; return when it did."""
    async with asyncio.timeout(60):
        while True:
            found = await one.client.sql_or_nothing(COUNT)
            if found and found[0]["rows"] >= rows:
                return datetime.now(UTC)  # noqa: TID251 - a benchmark
            await asyncio.sleep(0.05)


async def run(args: argparse.Namespace, folder: Path) -> bool:
    """Measure and print; return whether the goal is met."""
    async with AsyncExitStack() as stack:
        postgresql = await started(folder / "pg")
        stack.push_async_callback(postgresql.stop)
        kafka = Kafka(folder / "kafka")
        stack.callback(kafka.kill)
        kafka.start()
        source = await stack.enter_async_context(cluster("source", folder, postgresql))
        standby = await stack.enter_async_context(
            cluster("standby", folder, postgresql, standby=True)
        )
        forks = stack.enter_context(processes(folder))
        config = await write_config(folder, source, {"standby": standby}, kafka_log(kafka, "bench"))
        user = User(config, forks, source, standby)
        running = await user.starts("run")
        own, far = [], []
        for number in range(args.publishes):
            published = await appended(source, number)
            both = await asyncio.gather(  # noqa: TID251 - neither may wait for the other
                counted(source, number + 1), counted(standby, number + 1)
            )
            own.append((both[0] - published).total_seconds())
            far.append((both[1] - published).total_seconds())
        await running.terminate()
    for what, seconds in (("source", own), ("standby", far)):
        show(what, sorted(seconds))
    return statistics.median(far) <= POLL_S + DRUID_S + MARGIN_S


def show(what: str, seconds: list[float]) -> None:
    """Print one histogram."""
    middle, most = statistics.median(seconds), seconds[-1]
    print(
        f"\n{what}: committed to answered, {len(seconds)} publishes, median {middle:.1f} s, ",
        end="",
    )
    print(f"longest {most:.1f} s")
    for begin in range(int(most / 0.5) + 1):
        count = sum(begin * 0.5 <= one < (begin + 1) * 0.5 for one in seconds)
        print(f"  {begin * 0.5:4.1f} - {begin * 0.5 + 0.5:4.1f} s  {'#' * count}")


def main() -> None:
    """Read the command line, start everything, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--publishes", type=int, default=30)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)
    try:
        good = asyncio.run(run(args, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
