"""Copying between two buckets of one S3 server, next to rclone in the same run.

Streams and copies within the service, of many small, some middle and a few large objects. Each
side is a process of its own with the same concurrency. Ours is measured once it has copied one more
object: what copies is a service that runs for months, and starting an interpreter with its
libraries and the SDK's client takes 1.7 s. Requests are counted at a proxy in a short run of their
own.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter, sleep

from bench.memory import peak_bytes
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.s3.service import S3Address
from replicator.adapters.s3.storage import S3Reader, S3Storage
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.model.load_spec import Location
from replicator.ports import CopySource, DeepStorageReader
from replicator.services.target.copier import ahead_bytes_max
from tests.servers.proxy import proxy
from tests.servers.stores import S3, S3_KEY, S3_SECRET

MIB = 1 << 20
AT_ONCE = 16
IN_FLIGHT_BYTES = 48 * MIB
STREAM_WALL_MAX, STREAM_CPU_MAX, SERVER_WALL_MAX = 1.0, 1.5, 1.05
MEMORY_MAX_BYTES = 300 * MIB
WARM_UP_ROUNDS = 1
"""What comes first waits for what was written before, and for the server's memory to grow."""
ROUNDS = 5
IDLE_S = 2.0
"""Before either side: a virtual machine gives back memory that is free, and takes it again slowly.

Our process starts for that long before it is measured; rclone's does not.
"""
FIRST = Location("first/index.zip")


@dataclass(frozen=True)
class Load:
    """So many objects of one size."""

    name: str
    count: int
    size_bytes: int

    @property
    def places(self) -> list[Location]:
        """Where they are."""
        return [Location(f"{self.name}/{n}/index.zip") for n in range(self.count)]


@dataclass(frozen=True)
class Cost:
    """What one copy took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int

    def __str__(self) -> str:
        return f"{self.wall_s:6.2f} s, {self.cpu_s:6.2f} CPU s, {self.peak_bytes / MIB:5.0f} MiB"


def address(url: str, bucket: str) -> S3Address:
    """Return where a bucket of the server is."""
    return S3Address(
        bucket=bucket,
        prefix="segments",
        endpoint_url=url,
        region="us-east-1",
        path_style=True,
        access_key_id=S3_KEY,
        secret_access_key=S3_SECRET,
    )


def fill(server: S3, load: Load) -> None:
    """Write the source's objects, of bytes that cannot be compressed."""
    noise = os.urandom(min(load.size_bytes, 8 * MIB))

    async def all_of_it() -> None:
        target = storage(server.url, "source")
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(place: Location) -> None:
            async with slots:
                whole = noise * -(-load.size_bytes // len(noise))
                if load.size_bytes <= 8 * MIB:
                    await target.bucket.replace(target.key(place), whole[: load.size_bytes])
                    return
                writer = await target.bucket.writer(target.key(place), part_bytes=8 * MIB)
                for start in range(0, load.size_bytes, 8 * MIB):
                    await writer.write(whole[start : start + 8 * MIB])
                await writer.complete()

        async with asyncio.TaskGroup() as group:
            for place in [*load.places, FIRST]:
                group.create_task(one(place))
        await target.close()

    asyncio.run(all_of_it())


def storage(url: str, bucket: str) -> S3Storage:
    """Return the product's own storage."""
    return S3Storage(
        address(url, bucket),
        pace=Pace(),
        in_flight=InFlight(IN_FLIGHT_BYTES),
        sizes=Sizes(),
        clock=SystemClock(),
    )


class Plain:
    """Hides where bytes come from, so that they are streamed and not copied by the service."""

    def __init__(self, reader: DeepStorageReader) -> None:
        self.objects, self.read, self.check = reader.objects, reader.read, reader.check


async def copy(
    url: str, load: Load, target_bucket: str, *, stream: bool, first: Location | None = None
) -> tuple[float, float]:
    """Copy as the executor does: is it there, what is it, store it.

    Return seconds and processor seconds; of `first`, which is copied before, they do not tell.
    """
    reader = S3Reader(address(url, "source"), pace=Pace(), sizes=Sizes())
    origin: DeepStorageReader = Plain(reader) if stream else reader
    target = storage(url, target_bucket)
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(place: Location) -> None:
        async with slots:
            if await target.receipt(place) is None:
                ahead = load.size_bytes <= ahead_bytes_max(target, origin, place)
                objects = tuple(await reader.objects(place, ahead=ahead))
                await target.put(place, CopySource(reader=origin, location=place, objects=objects))

    if first is not None:
        await one(first)
    start, before = perf_counter(), used_s()
    async with asyncio.TaskGroup() as group:
        for place in load.places:
            group.create_task(one(place))
    cost = perf_counter() - start, used_s() - before
    await target.close()
    return cost


def used_s() -> float:
    """Return the processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def child(url: str, load: Load, bucket: str, *, stream: bool) -> None:
    """Be the process that is measured."""
    import uvloop  # noqa: PLC0415 - as the command line does

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        wall_s, cpu_s = runner.run(copy(url, load, bucket, stream=stream, first=FIRST))
    print(json.dumps([wall_s, cpu_s, peak_bytes()]), flush=True)
    os._exit(0)


def ours(url: str, load: Load, bucket: str, *, stream: bool) -> Cost:
    """Measure our side."""
    args = ["--child", url, load.name, str(load.count), str(load.size_bytes), bucket]
    mode = ["--stream"] if stream else []
    command = [sys.executable, "-m", "bench.copies", *args, *mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Cost(*json.loads(done.stdout))


def rclone(program: str, url: str, load: Load, bucket: str, *, stream: bool) -> Cost:
    """Measure rclone with the same concurrency and the same parts."""
    env = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_B_TYPE": "s3",
        "RCLONE_CONFIG_B_PROVIDER": "Other",
        "RCLONE_CONFIG_B_ENDPOINT": url,
        "RCLONE_CONFIG_B_ACCESS_KEY_ID": S3_KEY,
        "RCLONE_CONFIG_B_SECRET_ACCESS_KEY": S3_SECRET,
        "RCLONE_CONFIG_B_REGION": "us-east-1",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        *(program, "copy", f"b:source/segments/{load.name}", f"b:{bucket}/segments/{load.name}"),
        *("--transfers", str(AT_ONCE), "--checkers", str(AT_ONCE)),
        *("--s3-chunk-size", "8M", "--s3-upload-cutoff", "8M", "--s3-upload-concurrency", "4"),
        *("--s3-no-check-bucket", "--multi-thread-cutoff", "8M", "--multi-thread-chunk-size", "8M"),
        *(("--disable", "copy") if stream else ()),
    ]
    sleep(IDLE_S)
    start = perf_counter()
    with subprocess.Popen(command, env={**os.environ, **env}) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_bytes(process.pid))
            sleep(0.05)
        if process.returncode:
            raise RuntimeError(f"rclone ended with {process.returncode}")
        wall_s = perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, peak)


async def requests(server: S3, load: Load, bucket: str, *, stream: bool) -> Counter[str]:
    """Count what one object costs, at a proxy."""
    async with proxy(server.port) as front:
        await copy(front.url, replace(load, count=1), bucket, stream=stream)
        return Counter(front.kinds())


def compare(server: S3, load: Load, program: str | None, *, stream: bool) -> list[str]:
    """Print both sides, alternating; return the goals that are missed."""
    print(f"\n{load.name}: {load.count} x {load.size_bytes:,} bytes,"
          f" {'streamed' if stream else 'copied by the service'}")  # fmt: skip
    found: dict[str, list[Cost]] = {"ours": [], "rclone": []}
    for number in range(WARM_UP_ROUNDS + ROUNDS):
        for side in ("ours", "rclone") if number % 2 == 0 else ("rclone", "ours"):
            if side == "rclone" and program is None:
                continue
            cost = measured(server, load, program if side == "rclone" else None, stream=stream)
            counts = number >= WARM_UP_ROUNDS
            print(f"  {side:6} {cost}{'' if counts else '  (warm-up)'}", flush=True)
            if counts:
                found[side].append(cost)
    counted = asyncio.run(_counted(server, load, stream=stream))
    print(f"  requests of one object: {dict(counted)}")
    return missed_of(load, found["ours"], found["rclone"], stream=stream)


def missed_of(load: Load, us: list[Cost], them: list[Cost], *, stream: bool) -> list[str]:
    """Print how both sides compare; return the goals that are missed."""
    missed = []
    if max(cost.peak_bytes for cost in us) > MEMORY_MAX_BYTES:
        missed.append(f"{load.name}: memory")
    if not them:
        print("  rclone is not there: go install github.com/rclone/rclone@latest")
        return missed
    wall = median([c.wall_s for c in us]) / median([c.wall_s for c in them])
    cpu = median([c.cpu_s for c in us]) / median([c.cpu_s for c in them])
    print(f"  {wall:.2f} of rclone's wall time, {cpu:.2f} of its CPU (medians)")
    if wall > (STREAM_WALL_MAX if stream else SERVER_WALL_MAX):
        missed.append(f"{load.name}: wall time {wall:.2f}")
    if stream and load.size_bytes > MIB and cpu > STREAM_CPU_MAX:
        missed.append(f"{load.name}: CPU {cpu:.2f}")
    return missed


def measured(server: S3, load: Load, program: str | None, *, stream: bool) -> Cost:
    """Copy once into a fresh bucket, by us or by rclone, which is this program."""
    folder = server.bucket(bucket := f"target-{load.name}")
    os.sync()  # what the side before has written is not this one's to wait for
    try:
        if program is None:
            return ours(server.url, load, bucket, stream=stream)
        return rclone(program, server.url, load, bucket, stream=stream)
    finally:
        shutil.rmtree(folder)


async def _counted(server: S3, load: Load, *, stream: bool) -> Counter[str]:
    bucket = f"counted-{load.name}-{int(stream)}"
    folder = server.bucket(bucket)
    try:
        return await requests(server, load, bucket, stream=stream)
    finally:
        shutil.rmtree(folder)


def median(values: list[float]) -> float:
    """Return the middle one."""
    return sorted(values)[len(values) // 2]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", type=int, default=10_000, help="objects of 30 KB")
    parser.add_argument("--middle", type=int, default=200, help="objects of 8 MB")
    parser.add_argument("--large", type=int, default=10, help="objects of 1 GB")
    parser.add_argument("--rclone", default=shutil.which("rclone"))
    parser.add_argument("--child", nargs=5)
    parser.add_argument("--stream", action="store_true")
    args = parser.parse_args()
    if args.child:
        url, name, count, size_bytes, bucket = args.child
        child(url, Load(name, int(count), int(size_bytes)), bucket, stream=args.stream)
    loads = [
        Load("small", args.small, 30_000),
        Load("middle", args.middle, 8_000_000),
        Load("large", args.large, 1_000_000_000),
    ]
    folder, missed = Path(tempfile.mkdtemp(prefix="bench-copies-")), list[str]()
    server = S3(folder)
    server.start()
    server.bucket("source")
    try:
        for load in loads:
            if not load.count:
                continue
            fill(server, load)
            for stream in (True, False):
                missed += compare(server, load, args.rclone, stream=stream)
            shutil.rmtree(server.root / "source" / "segments" / load.name)
    finally:
        server.server.kill()
        shutil.rmtree(folder)
    print(f"\nmissed: {'; '.join(missed) or 'none'}", flush=True)
    sys.stdout.flush()
    os._exit(1 if missed else 0)


if __name__ == "__main__":
    main()
