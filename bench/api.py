"""The control API under load: how long answers take, and what polls and applies pay for it.

Starts `replicator run` over an empty PostgreSQL twice, without and with 50 requests a second, and
compares the times of its polls.

    python -m bench.api --seconds 60 --rate 50
"""

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from replicator.cli.demo.sandbox import SOURCE, stage

PATHS = ("/v1/status", "/v1/targets", "/v1/jobs", "/v1/whoami", "/healthz", "/metrics")
P99_MAX_MS = 100.0
PORT = 19475
CONTROL = f"""
web: {{control: {{listen: "127.0.0.1:{PORT}"}}}}
"""
POLL_SUM = re.compile(r"^replicator_poll_seconds_sum\{[^}]*\} (\S+)$", re.MULTILINE)
POLL_COUNT = re.compile(r"^replicator_poll_seconds_count\{[^}]*\} (\S+)$", re.MULTILINE)


def main() -> int:
    """Measure, print, and return 1 where the goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-api-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # where root runs it, PostgreSQL is another user's
        return asyncio.run(measured(folder, given.seconds, given.rate))


async def measured(folder: Path, seconds: float, rate: float) -> int:
    """Return 1 where the goal is missed."""
    async with stage(folder, keep=False) as found:
        with found.config.open("a") as config:
            config.write(CONTROL)
        token = (await found.run("token", "create", "bench", "--role", "viewer")).strip()
        await found.run("target", "create", "standby")
        process = await asyncio.create_subprocess_exec(
            *found.command("run"), stdout=sys.stderr, stderr=sys.stderr
        )
        try:
            headers = {"Authorization": f"Bearer {token}"}
            async with aiohttp.ClientSession(
                f"http://127.0.0.1:{PORT}", headers=headers
            ) as session:
                await up(session)
                idle = await window(session, seconds, None)
                busy = await window(session, seconds, rate)
        finally:
            process.terminate()
            await process.wait()
    times = sorted(busy[1])
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"{SOURCE}: {len(times)} requests in {seconds:g} s, {busy[2]} of them failed")
    print(
        f"answers: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, max {times[-1] * 1000:.0f} ms"
    )
    print(f"a poll: {idle[0] * 1000:.1f} ms without requests, {busy[0] * 1000:.1f} ms with them")
    print(f"ratio of polls: {busy[0] / idle[0]:.2f}")
    return 0 if p99 * 1000 <= P99_MAX_MS and not busy[2] else 1


async def up(session: aiohttp.ClientSession) -> None:
    """Wait until the service is ready."""
    async with asyncio.timeout(120):
        while True:
            try:
                async with session.get("/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


async def window(
    session: aiohttp.ClientSession, seconds: float, rate: float | None
) -> tuple[float, Sequence[float], int]:
    """Return the mean time of a poll, that of each request, and how many failed."""
    before = await counted(session)
    times: list[float] = []
    failed: list[int] = []
    loop = asyncio.get_running_loop()

    async def ask(number: int) -> None:
        began = loop.time()
        async with session.get(PATHS[number % len(PATHS)]) as answer:
            await answer.read()
            if answer.status >= 400:
                failed.append(answer.status)
        times.append(loop.time() - began)

    if rate is None:
        await asyncio.sleep(seconds)
    else:
        start = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * rate)):
                await asyncio.sleep(max(0.0, start + number / rate - loop.time()))
                group.create_task(ask(number))
    after = await counted(session)
    polls = max(1.0, after[1] - before[1])
    return (
        (after[0] - before[0]) / polls,
        times,
        len(failed),
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
