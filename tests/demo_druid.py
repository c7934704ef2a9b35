"""The story of `make demo` on two real Druid clusters and a real Kafka: `make demo-druid`.

Everything runs on this machine and is gone afterwards; `--keep` leaves it running until Ctrl-C.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.acceptance.druids import Cluster, User, cluster, kafka_log, write_config
from tests.servers.fetching import MissingToolError
from tests.servers.kafka import Kafka
from tests.servers.postgresql import started
from tests.servers.process import processes

CONSOLE = Console(highlight=False)
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
QUERY = 'SELECT COUNT(*) AS "rows", SUM(n) AS "sum", MAX(__time) AS "last" FROM "{name}"'


@dataclass(frozen=True)
class Stage:
    user: User
    source: Cluster
    standby: Cluster

    async def ask_both(self, title: str) -> None:
        """Print what both Brokers answer."""
        table = Table("datasource", "asked", "rows", "sum(n)", "newest", title=title)
        for name in ("orders", "wiki"):
            for one in (self.source, self.standby):
                found = await one.client.sql_or_nothing(QUERY.format(name=name))
                row = found[0] if found else {"rows": "-", "sum": "-", "last": "not there"}
                table.add_row(name, one.name, str(row["rows"]), str(row["sum"]), str(row["last"]))
        CONSOLE.print(table)

    async def types(self, *args: str) -> None:
        """Type a command and show what it says."""
        CONSOLE.print(f"\n[bold]$ replicator {' '.join(args)}[/]")
        ended = await self.user.types(*args)
        CONSOLE.print(ended.out.rstrip(), markup=False, soft_wrap=True)
        if ended.code:
            raise SystemExit(f"it ended with {ended.code}:\n{ended.err}")

    async def settles(self) -> datetime:
        """Wait until the standby answers like the source; return the time of that."""
        used = await self.user.at_rest()
        await self.standby.client.settled(wanted=used)
        await self.standby.answers_like(await self.source.answers_at_rest())
        return datetime.now(UTC)  # noqa: TID251 - a story told to a person


async def tell(stage: Stage) -> None:
    """Replicate, have an accident, come back."""
    client, user = stage.source.client, stage.user
    await stage.types("check")
    await stage.types("target", "create", "standby")
    CONSOLE.print("\n[bold]$ replicator run &[/]   the watcher and the applier, over Kafka")
    running = await user.starts("run")
    for name in ("orders", "wiki"):
        rows = [
            {"__time": f"{d}T{h:02}:00:00Z", "page": name, "n": h} for d in DAYS for h in range(24)
        ]
        await client.load(name, rows)
    await stage.settles()
    await stage.ask_both("two datasources were ingested at the source")

    rows = [{"__time": f"{DAYS[1]}T12:00:00Z", "page": "corrected", "n": 1000}]
    await client.load("wiki", rows, interval=f"{DAYS[1]}/{DAYS[2]}")
    before = await stage.settles()
    await stage.ask_both("a day of wiki was overwritten; the standby follows")
    await asyncio.sleep(1.5)  # so that a cut lies between

    CONSOLE.print("\n[red]the accident[/]: somebody drops orders and kills its segments")
    await client.mark_unused("orders", "2026-01-01/2027-01-01")
    await client.kill_unused("orders", "2026-01-01/2027-01-01")
    await stage.settles()
    await stage.ask_both("the standby followed the accident, as it must")
    await running.terminate()

    await stage.types("points")
    await stage.types("restore", "standby", "--to-time", before.isoformat(), "--yes")
    await standby_has_orders(stage.standby)
    await stage.ask_both("the standby is back where it was before the accident")
    await stage.types("verify", "standby", "--level", "checksum")
    CONSOLE.print("\n[green]nothing was lost[/]: Druid itself answers what it answered before\n")


async def standby_has_orders(standby: Cluster) -> None:
    async with asyncio.timeout(60):
        while not await standby.client.sql_or_nothing(QUERY.format(name="orders")):
            await asyncio.sleep(0.3)
        await standby.client.settled(wanted=await standby.client.used())


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """Start a PostgreSQL, a Kafka and two Druids."""
    folder = Path(tempfile.mkdtemp(prefix="druids-"))
    folder.chmod(0o755)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgresql = await started(folder / "postgresql", fsync=True)
        stack.push_async_callback(postgresql.stop)
        CONSOLE.print("starting Apache Kafka 4.4.0 and two Apache Druid 33.0.0, about 30 s …")
        kafka = Kafka(folder / "kafka")
        stack.callback(kafka.kill)
        kafka.start()
        source = await stack.enter_async_context(cluster("source", folder, postgresql))
        standby = await stack.enter_async_context(
            cluster("standby", folder, postgresql, standby=True)
        )
        forks = stack.enter_context(processes(folder))
        log = kafka_log(kafka, "demo")
        config = await write_config(folder, source, {"standby": standby}, log)
        CONSOLE.print(f"configuration: {config}")
        for one in (source, standby):
            CONSOLE.print(f"{one.name}: console API {one.druid.url('broker')}/druid/v2/sql")
        yield Stage(User(config, forks, source, standby), source, standby)


async def main() -> None:
    async with staged() as stage:
        await tell(stage)
        if "--keep" in sys.argv:
            CONSOLE.print("it runs on until Ctrl-C")
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except MissingToolError as exc:
        sys.exit(str(exc))
    except KeyboardInterrupt:
        pass
