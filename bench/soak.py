"""Whether the memory of watcher and applier stays flat: `run` over Kafka while a source changes.

It takes half an hour, so `make bench` leaves it out: `python -m bench.soak`.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from random import Random

import yaml

from tests.acceptance.test_killed import kafka_log, set_up
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.servers.kafka import Kafka
from tests.servers.postgresql import started
from tests.servers.process import processes

SETTLED_SHARE = 0.25
"""The first part, in which caches and arenas fill, is not judged."""
GROWTH_MAX = 0.10


def rss_kib(pid: int) -> int:
    """Return a process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


async def changes(druid: DruidOnPostgresql, stop_: asyncio.Event, seconds: float) -> int:
    """Let the source do one thing after the other; return how many."""
    done = 0
    while not stop_.is_set():
        await druid.step()
        done += 1
        await asyncio.sleep(seconds)
    return done


async def run(args: argparse.Namespace, folder: Path) -> bool:
    """Measure and print; return whether memory stayed flat."""
    postgresql = await started(folder / "postgresql")
    broker = Kafka(folder / "kafka")
    broker.start()
    stop_, found = asyncio.Event(), []
    try:
        async with postgresql.database() as source, postgresql.database() as target:
            path = set_up(folder, source, target, kafka_log(broker, "soak"))
            settings = yaml.safe_load(path.read_text())
            settings["watch"]["poll_interval_s"] = 0.5
            settings["log"]["fetch_bytes_max"] = args.fetch_bytes_max
            path.write_text(yaml.safe_dump(settings))
            druid = DruidOnPostgresql(Random(5), source, folder / "source")
            (folder / "processes").mkdir()
            with processes(folder / "processes") as forks:
                process = await forks.start("run", "--config", str(path))
                task = asyncio.create_task(changes(druid, stop_, args.change_every_s))
                for _ in range(int(args.minutes * 60 / args.sample_every_s)):
                    await asyncio.sleep(args.sample_every_s)
                    found.append(rss_kib(process.pid))
                    print(f"{len(found) * args.sample_every_s / 60:6.1f} min {found[-1]:>9} KiB")
                stop_.set()
                acts = await task
                ended = await process.terminate()
    finally:
        broker.kill()
        await postgresql.stop()
    settled = found[int(len(found) * SETTLED_SHARE) :]
    growth = settled[-1] / settled[0] - 1
    cuts = ended.err.count("cut applied")
    print(f"{acts} acts of the source, {cuts} cuts applied, exit code {ended.code}")
    print(f"from {settled[0]} to {settled[-1]} KiB: {growth:+.1%} (at most {GROWTH_MAX:+.0%})")
    return growth <= GROWTH_MAX and ended.code == 0


def main() -> None:
    """Read the command line, then soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--sample-every-s", type=float, default=30)
    parser.add_argument("--change-every-s", type=float, default=0.2)
    parser.add_argument("--fetch-bytes-max", type=int, default=8 << 20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        Path(folder).chmod(0o755)
        raise SystemExit(0 if asyncio.run(run(args, Path(folder))) else 1)


if __name__ == "__main__":
    main()
