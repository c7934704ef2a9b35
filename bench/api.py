"""The control API under load: how long answers take, and whether polls and applies come later.

Starts `replicator run` over an empty PostgreSQL, whose source changes all the time. Windows without
requests and windows with 50 of them a second take turns, so that both meet the same machine. For
each change is measured how long it took from its commit at the source to the target's own tables;
the program's counters say how many polls there were and how long they took.

    python -m bench.api                    # a minute of each; prints PASSED or MISSED, exits 0 or 1
    python -m bench.api --seconds 30 --rate 50
"""

import argparse
import asyncio
import os
import re
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import fmean, quantiles

import aiohttp
import asyncpg

from replicator.cli.demo.recording import steps
from replicator.cli.demo.sandbox import Stage, stage

PATHS = (
    "/v1/status",
    "/v1/targets",
    "/v1/points",
    "/v1/holds",
    "/v1/jobs",
    "/v1/schedules",
    "/v1/page/overview",
    "/v1/page/timeline",
    "/v1/whoami",
    "/healthz",
    "/metrics",
)
P99_MAX_MS = 100.0
LATER_MAX = 1.1
"""Largest ratio of two means that is no delay: 300 changes wait differently for their polls."""
POLLS_MIN = 0.97
"""Least share of the polls without requests that there must be with them."""
WINDOWS = 4
"""Of each kind, in turn."""
CHANGES_PER_S = 5.0
LOOK_S = 0.01
ARRIVAL_S_MAX = 60.0
CONTROL = """
web: {{control: {{listen: "127.0.0.1:{port}"}}}}
"""
POLL_SUM = re.compile(r"^replicator_poll_seconds_sum\{[^}]*\} (\S+)$", re.MULTILINE)
POLL_COUNT = re.compile(r"^replicator_poll_seconds_count\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(slots=True)
class Measured:
    """What the windows of one kind have shown."""

    seconds: float = 0.0
    polls: float = 0.0
    poll_seconds: float = 0.0
    answers: list[float] = field(default_factory=list)
    """Of each request, in seconds."""
    failed: int = 0
    cpu_s: float = 0.0
    """Processor time of the service's process."""
    arrivals: list[float] = field(default_factory=list)
    """Of each change, from source to target, in seconds."""

    @property
    def polls_per_s(self) -> float:
        """How often the source was polled."""
        return self.polls / self.seconds

    @property
    def poll_ms(self) -> float:
        """Mean time of a poll."""
        return 1000 * self.poll_seconds / max(1.0, self.polls)


def main() -> int:
    """Measure, print, and return 1 where a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0, help="of each kind, in all")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-api-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # where root runs it, PostgreSQL is another user's
        return asyncio.run(measured(folder, given.seconds, given.rate))


async def measured(folder: Path, seconds: float, rate: float) -> int:
    """Return 1 where a goal is missed."""
    port = free_port()
    async with stage(folder, keep=False) as found:
        with found.config.open("a") as config:
            config.write(CONTROL.format(port=port))
        token = (await found.run("token", "create", "bench", "--role", "viewer")).strip()
        await found.run("target", "create", "standby")
        await found.druid.play(steps()["1-history"])
        process = await asyncio.create_subprocess_exec(
            *found.command("run"), stdout=sys.stderr, stderr=sys.stderr
        )
        idle, busy = Measured(), Measured()
        try:
            headers = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{port}", headers=headers
            ) as session:
                await up(session)
                bench = Bench(found, session, process.pid)
                await bench.window(Measured(), 2.0, None)  # it is warm then
                for _ in range(WINDOWS):
                    await bench.window(idle, seconds / WINDOWS, None)
                    await bench.window(busy, seconds / WINDOWS, rate)
        finally:
            process.terminate()
            await process.wait()
    return verdict(idle, busy)


def verdict(idle: Measured, busy: Measured) -> int:
    """Print what was measured beside its goals."""
    p50, p99 = (1000 * one for one in (quantiles(busy.answers, n=100)[at] for at in (49, 98)))
    polls = busy.polls_per_s / idle.polls_per_s
    arrival = fmean(busy.arrivals) / fmean(idle.arrivals)
    print(f"{len(busy.answers)} requests in {busy.seconds:.0f} s, {busy.failed} of them failed")
    print(f"answers: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {1000 * max(busy.answers):.0f} ms")
    print(f"polls a second: {idle.polls_per_s:.2f} without requests, {busy.polls_per_s:.2f} with")
    print(f"a poll: {idle.poll_ms:.1f} ms without requests, {busy.poll_ms:.1f} ms with them")
    extra_s = busy.cpu_s - idle.cpu_s * busy.seconds / idle.seconds
    print(
        f"processor: {idle.cpu_s / idle.seconds:.2f} of a core without requests,"
        f" {busy.cpu_s / busy.seconds:.2f} with, {1000 * extra_s / len(busy.answers):.1f} ms each"
    )
    for name, one in (("without", idle), ("with", busy)):
        found = quantiles(one.arrivals, n=100)
        print(
            f"{len(one.arrivals)} changes {name} requests reached the target after"
            f" {1000 * fmean(one.arrivals):.0f} ms in the mean, p50 {1000 * found[49]:.0f} ms,"
            f" p99 {1000 * found[98]:.0f} ms"
        )
    goals = {
        f"p99 of answers at most {P99_MAX_MS:.0f} ms: {p99:.1f}": p99 <= P99_MAX_MS,
        f"no request fails: {busy.failed}": not busy.failed,
        f"polls with requests, of those without, at least {POLLS_MIN}: {polls:.3f}": (
            polls >= POLLS_MIN
        ),
        f"arrival with requests, of that without, at most {LATER_MAX}: {arrival:.3f}": (
            arrival <= LATER_MAX
        ),
    }
    for goal, is_met in goals.items():
        print(f"{'met   ' if is_met else 'MISSED'}  {goal}")
    print("PASSED" if all(goals.values()) else "MISSED")
    return 0 if all(goals.values()) else 1


def used_s(pid: int) -> float:
    """Return the processor time of a process, in seconds (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def up(session: aiohttp.ClientSession) -> None:
    """Wait until the service is ready, and has read the log and the stores."""
    async with asyncio.timeout(120):
        for path in ("/readyz", "/v1/points"):
            while True:
                with suppress(aiohttp.ClientError):
                    async with session.get(path) as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Bench:
    """A service and its source, and the numbers of the changes that are made there."""

    found: Stage
    session: aiohttp.ClientSession
    pid: int
    numbers: "count[int]" = field(default_factory=count)

    async def window(self, into: Measured, seconds: float, rate: float | None) -> None:
        """Let so much time pass, with or without requests, and add what was seen."""
        loop, before = asyncio.get_running_loop(), await counted(self.session)
        began, cpu_s = loop.time(), used_s(self.pid)
        async with asyncio.TaskGroup() as group:
            changes = group.create_task(changing(self.found, seconds, self.numbers))
            if rate is not None:
                await asking(self.session, into, seconds, rate)
        into.arrivals += changes.result()
        after = await counted(self.session)
        into.poll_seconds += after[0] - before[0]
        into.polls += after[1] - before[1]
        into.seconds += loop.time() - began
        into.cpu_s += used_s(self.pid) - cpu_s


async def asking(
    session: aiohttp.ClientSession, into: Measured, seconds: float, rate: float
) -> None:
    """Ask at an even rate, however long the answers take."""
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def ask(number: int) -> None:
        began = loop.time()
        async with session.get(PATHS[number % len(PATHS)]) as answer:
            await answer.read()
            into.failed += answer.status >= 400
        into.answers.append(loop.time() - began)

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
            group.create_task(ask(number))


async def changing(found: Stage, seconds: float, numbers: "count[int]") -> Sequence[float]:
    """Change the source at an even rate; return how long each change took to the target."""
    loop = asyncio.get_running_loop()
    start, committed = loop.time(), dict[str, float]()
    arrived = list[float]()

    async def change() -> None:
        for number in range(int(seconds * CHANGES_PER_S)):
            await asyncio.sleep(max(0.0, start + number / CHANGES_PER_S - loop.time()))
            name = f"bench-{next(numbers)}"
            await _insert(found.source, name)
            committed[name] = loop.time()

    async with asyncio.TaskGroup() as group:
        changed = group.create_task(change())
        while not changed.done() or committed:
            if loop.time() > start + seconds + ARRIVAL_S_MAX:
                raise SystemExit(f"{len(committed)} changes did not reach the target")
            rows = await found.target.fetch(
                "SELECT datasource FROM druid_rules WHERE datasource = ANY($1)", list(committed)
            )
            now = loop.time()
            arrived += [now - committed.pop(row["datasource"]) for row in rows]
            await asyncio.sleep(LOOK_S)
    return arrived


async def _insert(source: asyncpg.Connection, name: str) -> None:
    await source.execute(
        "INSERT INTO druid_rules (id, datasource, version, payload) VALUES ($1, $1, $2, $3)",
        name,
        "2026-11-30T00:00:00.000Z",
        b'[{"type":"loadForever","tieredReplicants":{"_default_tier":1}}]',
    )


async def counted(session: aiohttp.ClientSession) -> tuple[float, float]:
    """Return the seconds of all polls so far, and how many there were."""
    async with session.get("/metrics") as answer:
        text = await answer.text()

    def value(pattern: re.Pattern[str]) -> float:
        found = pattern.search(text)
        return float(found[1]) if found else 0.0

    return value(POLL_SUM), value(POLL_COUNT)


if __name__ == "__main__":
    raise SystemExit(main())
