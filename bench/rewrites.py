"""Rows that a target has already are written again, beside an older build of this project.

Goal: at most half of the time, and no WAL. `ON CONFLICT` alone locks each row it finds, and a lock
is written to the WAL and makes the page dirty; now rows are looked up first, in many small
statements, so that one is encoded while the server compares another. On two idle cores the time is
that of the slower side, which is why CPU time of both sides is printed: the machine's load is in
the wall time alone. Run it on a quiet machine:

    git worktree add ../former 71aefc0 && make -C ../former .venv/.ready-0.13.9
    python -m bench.rewrites ../former
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import asyncpg

from bench.stage import FILL, SOURCE_ROOT, TABLES, server

RATIO_MAX = 0.5
WAL_BYTES_PER_ROW_MAX = 1
HERE = Path(__file__).resolve().parents[1]


class Cost(NamedTuple):
    """What writing all rows took."""

    wall_s: float
    client_s: float
    server_s: float
    wal_bytes: int
    statements: int

    @property
    def text(self) -> str:
        """The cost in words."""
        return (
            f"{self.wall_s:6.2f} s, {self.client_s:6.2f} s of our CPU,"
            f" {self.server_s:6.2f} s of the server's, {self.wal_bytes:,} bytes of WAL,"
            f" {self.statements:,} statements"
        )


async def main(former: Path, rows: int, payload_bytes: int, rounds: int) -> int:
    """Run it and say what was found."""
    costs: dict[Path, list[Cost]] = {former: [], HERE: []}
    async with server(None) as (_, dsn):
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(TABLES.read_text())
            for start in range(0, rows, 100_000):
                end = min(rows, start + 100_000)
                await connection.execute(FILL, start, end, SOURCE_ROOT, payload_bytes)
            await connection.execute("VACUUM ANALYZE druid_segments")
            for _ in range(rounds):
                for checkout, found in costs.items():
                    await connection.execute("CHECKPOINT")
                    found.append(await _written(checkout, dsn))
                    print(
                        f"{'now' if checkout == HERE else 'former':6} {found[-1].text}", flush=True
                    )
        finally:
            await connection.close()
    before, after = costs[former], costs[HERE]
    wall, ours = (_median(after, at) / _median(before, at) for at in (0, 1))
    theirs = _median(after, 2) / _median(before, 2)
    wal = max(one.wal_bytes for one in after)
    good = wall <= RATIO_MAX and wal <= WAL_BYTES_PER_ROW_MAX * rows
    print(
        f"{rows} rows that are so already, at load {os.getloadavg()[0]:.0f}: {wall:.2f} of the"
        f" former time (at most {RATIO_MAX}), {ours:.2f} of our CPU, {theirs:.2f} of the server's,"
        f" {wal} bytes of WAL: {'goal met' if good else 'GOAL MISSED'}"
    )
    return 0 if good else 1


async def _written(checkout: Path, dsn: str) -> Cost:
    """Write every row as it is, with the writer of a checkout."""
    child = await asyncio.create_subprocess_exec(
        checkout / ".venv" / "bin" / "python",
        HERE / "bench" / "rewriting.py",
        dsn,
        env=dict(os.environ, PYTHONPATH=str(checkout)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await child.communicate()
    if child.returncode:
        raise SystemExit(f"{checkout}: the writer ended with {child.returncode}")
    return Cost(*json.loads(said))


def _median(costs: list[Cost], at: int) -> float:
    return median(one[at] for one in costs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("former", type=Path, help="a checkout of the older build, with its .venv")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--payload-bytes", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    sys.exit(asyncio.run(main(args.former.resolve(), args.rows, args.payload_bytes, args.rounds)))
