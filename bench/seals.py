"""What signing costs: bytes, requests and CPU a segment, beside the same store without a key.

The same segments are stored in two buckets of one S3 server, and looked at again as a restore does:
once plainly, once with seals. Requests are counted at a proxy, bytes in the server's folder, CPU in
this process. Goals are counters: a seal is one request when it is written and two when it is
looked at, and less than a kilobyte.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.copies import storage, used_s
from replicator.adapters.s3.storage import S3Storage
from replicator.adapters.signing.area import Signatures
from replicator.adapters.signing.ed25519 import Ed25519Keys
from replicator.adapters.signing.storage import SealedStorage
from replicator.model.load_spec import Location
from replicator.ports import Checked, CopySource, Piece, StoredObject, TargetStorage
from tests.servers.proxy import proxy
from tests.servers.stores import S3

PUT_MORE_MAX, LOOK_MORE_MAX, BYTES_MORE_MAX = 1.0, 2.0, 1024.0
"""Requests and bytes a segment that a signed store may take beyond an unsigned one."""
DATA = b"segment" * 500


@dataclass(frozen=True)
class Cost:
    """What one segment took."""

    put: Counter[str]
    looked: Counter[str]
    bytes: float
    cpu_s: float


class InMemory:
    """A source whose every place has the same bytes."""

    async def objects(self, location: Location, *, ahead: bool = False) -> Sequence[StoredObject]:
        """Return the one object of a place."""
        del location, ahead
        return (StoredObject(name="", size_bytes=len(DATA), tag="1"),)

    async def read(
        self, location: Location, stored: StoredObject, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Piece]:
        """Yield its bytes."""
        del location, stored
        yield DATA[start:end]

    async def check(self, location: Location) -> tuple[Checked, ...]:
        """Refuse: nobody asks."""
        raise NotImplementedError(location)


async def stored(target: TargetStorage, places: Sequence[Location]) -> None:
    """Store a segment at each place."""
    origin = InMemory()
    for place in places:
        objects = tuple(await origin.objects(place))
        await target.put(place, CopySource(reader=origin, location=place, objects=objects))


async def looked_at(target: TargetStorage, places: Sequence[Location]) -> None:
    """Read what was stored, as what uses it does."""
    for place in places:
        if await target.receipt(place) is None:
            raise AssertionError(f"{place} is not there")


async def cost(server: S3, count: int, keys: Ed25519Keys | None) -> Cost:
    """Store and look at so many segments; requests are counted of one after a first one."""
    folder = server.bucket(name := "signed" if keys else "plain")
    rule = None if keys is None else Signatures(keys, accept_unsigned=False, warn=lambda _: None)
    places = [Location(f"{number}/index.zip") for number in range(count)]

    def opened(url: str) -> tuple[S3Storage, TargetStorage]:
        plain = storage(url, name)
        return plain, plain if rule is None else SealedStorage(plain, rule)

    plain, target = opened(server.url)
    await stored(target, places[:1])  # the first write of a process tries the service
    before_s, before = used_s(), size_of(folder)
    await stored(target, places[1:])
    await looked_at(target, places[1:])
    took_s, size = used_s() - before_s, size_of(folder) - before
    await plain.close()
    async with proxy(server.port) as front:
        plain, target = opened(front.url)
        await stored(target, [Location("first/index.zip")])
        front.seen.clear()
        await stored(target, [Location("one/index.zip")])
        put = Counter(front.kinds())
        front.seen.clear()
        await looked_at(target, [Location("one/index.zip")])
        looked = Counter(front.kinds())
        await plain.close()
        await asyncio.sleep(0.1)  # the proxy sees that its connections have ended
    return Cost(put, looked, size / (count - 1), took_s / (count - 1))


def size_of(folder: Path) -> int:
    """Return the bytes of all objects below a bucket's folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def missed_of(plain: Cost, signed: Cost) -> list[str]:
    """Print both; return the goals that are missed."""
    for name, one in (("unsigned", plain), ("signed", signed)):
        print(f"{name:8}  stored: {dict(one.put)}, looked at: {dict(one.looked)},"
              f" {one.bytes:,.0f} bytes, {one.cpu_s * 1e3:.2f} CPU ms")  # fmt: skip
    more = {
        "requests when stored": (signed.put.total() - plain.put.total(), PUT_MORE_MAX),
        "requests when looked at": (signed.looked.total() - plain.looked.total(), LOOK_MORE_MAX),
        "bytes": (signed.bytes - plain.bytes, BYTES_MORE_MAX),
    }
    for what, (found, allowed) in more.items():
        print(f"more {what}: {found:,.0f}, at most {allowed:,.0f}")
    print(f"CPU: {signed.cpu_s / plain.cpu_s:.2f} of unsigned")
    return [what for what, (found, allowed) in more.items() if found > allowed]


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--segments", type=int, default=1_000)
    count: int = parser.parse_args().segments
    private = Ed25519PrivateKey.generate()
    keys = Ed25519Keys(private, [private.public_key()])
    folder = Path(tempfile.mkdtemp(prefix="bench-seals-"))
    server = S3(folder)
    server.start()
    try:
        plain = asyncio.run(cost(server, count, None))
        signed = asyncio.run(cost(server, count, keys))
    finally:
        server.server.kill()
        shutil.rmtree(folder)
    missed = missed_of(plain, signed)
    print(f"missed: {'; '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
