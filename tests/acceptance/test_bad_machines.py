"""Clocks that jump, processes that stand still, disks that are full or read-only.

Each round does one bad thing to a `run` that follows a source, and takes it back. Then the target
must become what the source is, by rows and bytes, with no cut lost and none doubled.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
import yaml

from tests.acceptance.test_killed import World, set_up
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.integration.test_every_cut import TargetState
from tests.rings import IS_LONG, times
from tests.servers.disk import Disk
from tests.servers.postgresql import Postgresql
from tests.servers.process import Ended, Processes, Running, processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(7200)]

ROUNDS = times(3, 200)
JUMP_ROUNDS = 200
HOUR_S, DAY_S = 3600, 86_400
JUMPS_S = (HOUR_S, -HOUR_S, DAY_S, -DAY_S)
LEASE_S = 2.0
"""Of an expiry and of a restore; whoever stands still does so for longer."""
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""Fakes the clock below the program (Debian: `apt install faketime`): the long run uses it."""
CATCH_UP_S = 300.0
TAKE_OVER_S = 450.0
"""Whoever was stopped may hold a transaction, which its server ends after 300 s."""
BadThing: TypeAlias = Callable[[], Coroutine[None, None, None]]
APPLIED, PUBLISHED, WAITING = "cut applied", "cut published", "waiting"


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[tuple[Disk, Disk]]:
    """The disk of the log and that of the store."""
    made = [Disk(tmp_path / name, tmp_path / f"{name}.image") for name in ("log", "target")]
    ready = [disk for disk in made if disk.make()]
    if len(ready) == len(made):
        yield made[0], made[1]
    for disk in ready:
        disk.remove()
    if len(ready) < len(made):
        pytest.skip("only root can mount disks")


@dataclass
class BadMachine:
    """A world whose machine can do everything wrong, and the `run` on it."""

    world: World
    log: Disk
    store: Disk
    clock_file: Path
    rng: Random
    running: Running | None = None

    async def starts(self) -> Running:
        config = ("--config", str(self.world.config))
        clock_file = None if is_faked() else self.clock_file
        self.running = await self.world.processes.start("run", *config, clock_file=clock_file)
        return self.running

    @property
    def run(self) -> Running:
        assert self.running is not None
        return self.running

    async def acts(self, steps: int = 4) -> None:
        for _ in range(steps):
            await self.world.druid.step()
            await asyncio.sleep(0.05)

    async def waits(self, before: int) -> None:
        """Wait until `run` has said once more that it waits."""
        await self.run.says(WAITING, times=before + 1, within_s=CATCH_UP_S)

    @property
    def waited(self) -> int:
        return self.run.err.count(WAITING)

    async def catches_up(self) -> None:
        """Nobody but `run` does anything until the target is what the source is."""
        wanted = TargetState(*self.world.druid.now_held())
        async with asyncio.timeout(CATCH_UP_S):
            while True:
                assert self.run.is_running, self.run.err[-3000:]
                try:
                    await self.world.target_is(wanted)
                except AssertionError:
                    await asyncio.sleep(0.5)
                else:
                    return

    # ------------------------------------------------------------------------------- bad things

    async def the_clock_jumps(self) -> None:
        """There, and back again: two jumps."""
        jump_s = self.rng.choice(JUMPS_S)
        self.clock_file.write_text(f"{jump_s:+d}")
        await self.acts()
        if self.rng.random() < 0.5:
            await self.catches_up()
        self.clock_file.write_text("+0")
        await self.acts()

    async def the_disk_of_the_log_is_full(self) -> None:
        await self._is_full(self.log)

    async def the_disk_of_the_store_is_full(self) -> None:
        await self._is_full(self.store)

    async def _is_full(self, disk: Disk) -> None:
        before = self.waited
        disk.fill(left_bytes=self.rng.choice((0, 4096, 20_000, 200_000)))
        await self.acts(12)
        if disk is self.log and self.rng.random() < 0.5:
            await self.waits(before)
        disk.empty()

    async def the_store_is_read_only(self) -> None:
        with self.store.read_only_by_path():
            await self.acts(8)
            await asyncio.sleep(self.rng.uniform(0, 1))

    async def the_disk_fails_under_the_log(self) -> None:
        await self._fails(self.log)

    async def the_disk_fails_under_the_store(self) -> None:
        await self._fails(self.store)

    async def _fails(self, disk: Disk) -> None:
        """Read-only for all, also for open files: an operator ends `run`, repairs and starts it."""
        before = self.waited
        disk.abort()
        await self.acts(8)
        await self.waits(before)
        assert self.run.is_running, self.run.err[-3000:]
        ended = await self.run.terminate()
        assert ended.code == 0, ended.err[-3000:]
        disk.repair()
        await self.starts()

    async def run_stands_still_while_others_take_over(self) -> None:
        self.run.signal(signal.SIGSTOP)
        await self.acts()
        for args in (("watch", "--once", "--take-over"), ("apply", "standby", "--once")):
            other = await self.world.starts(*args)
            try:
                taken = await other.ended(within_s=TAKE_OVER_S)
            except TimeoutError:
                raise AssertionError(f"{args}: {other.err}") from None
            assert taken.code == 0, taken.err
        await asyncio.sleep(LEASE_S / 2)
        stopped = self.run
        stopped.signal(signal.SIGCONT)
        await self.acts(2)
        ended = await stopped.ended(within_s=CATCH_UP_S)
        assert ended.code == 7, ended.err[-3000:]
        await self.starts()

    async def an_expiry_stands_still_longer_than_its_lease(self) -> None:
        """What it does after that must be nothing: an applier has gone on."""
        expiry = await self.world.starts("expire", "standby", "--retention", "1ms", "--yes")
        await asyncio.sleep(self.rng.uniform(0.1, 1.0))
        expiry.signal(signal.SIGSTOP)
        await self.acts(6)
        await asyncio.sleep(LEASE_S + 1.5)
        expiry.signal(signal.SIGCONT)
        ended = await expiry.ended(within_s=CATCH_UP_S)
        assert ended.code in {0, 3, 7, 8}, ended.err

    async def a_restore_stands_still_longer_than_its_lease(self) -> None:
        """Meanwhile an expiry takes what only the restore needed; then it ends, well or not."""
        points = (await self.world.types("points", "--json")).result["points"]
        offset = str(self.rng.choice(points)["offset"])
        restoring = ("restore", "standby", "--to-offset", offset, "--yes", "--accept-gaps")
        restore = await self.world.starts(*restoring)
        await asyncio.sleep(self.rng.uniform(0.1, 1.0))
        restore.signal(signal.SIGSTOP)
        await self.acts(2)
        await asyncio.sleep(LEASE_S + 1.5)
        expired = await self.world.types("expire", "standby", "--retention", "1ms", "--yes")
        assert expired.code in {0, 3, 7, 8}, expired.err  # 7: it was slower than its own lease
        restore.signal(signal.SIGCONT)
        ended = await restore.ended(within_s=CATCH_UP_S)
        assert ended.code in {0, 3, 4, 7, 8, 11}, ended.err
        await self.run.terminate()
        resumed = await self.world.types("apply", "standby", "--once", "--resume", "--yes")
        assert resumed.code == 0, resumed.err
        await self.starts()

    # ------------------------------------------------------------------------ clocks that jump

    async def clocks_jump(self, jump_s: int, meanwhile: BadThing) -> None:
        """All clocks jump at some moment of what is done meanwhile, and back at another one."""

        async def jumps() -> None:
            await asyncio.sleep(self.rng.uniform(0, 1.5))
            self.clock_file.write_text(f"{jump_s:+d}")
            if self.rng.random() < 0.5:
                await asyncio.sleep(self.rng.uniform(0.2, 1.5))
                self.clock_file.write_text("+0")

        async with asyncio.TaskGroup() as group:
            group.create_task(jumps())
            group.create_task(meanwhile())
        await self.catches_up()  # by the clock that is wrong, half of the time
        self.clock_file.write_text("+0")
        await self.acts()

    async def the_source_goes_on(self) -> None:
        await self.acts(12)

    async def run_is_started_again(self) -> None:
        await self.acts(2)
        ended = await self.run.terminate()
        assert ended.code == 0, ended.err[-3000:]
        await self.acts(2)
        await self.starts()
        await self.acts(4)

    async def run_is_killed_and_started_again(self) -> None:
        await self.acts(4)
        await self.run.kill()
        await self.starts()
        await self.acts(4)

    async def does(self, *args: str, codes: set[int]) -> Ended:
        """Run a verb to its end; what does not end says where it stands."""
        running = await self.world.starts(*args)
        try:
            ended = await running.ended(within_s=CATCH_UP_S)
        except TimeoutError:
            raise AssertionError(f"{args}: {running.err[-3000:]}") from None
        finally:
            running.signal(signal.SIGKILL)
        assert ended.code in codes, ended.err + ended.out
        return ended

    async def others_take_over(self) -> None:
        await self.acts(2)
        for args in (("watch", "--once", "--take-over"), ("apply", "standby", "--once")):
            await self.does(*args, codes={0})
        await self.acts(2)
        ended = await self.run.ended(within_s=CATCH_UP_S)
        assert ended.code == 7, ended.err[-3000:]
        await self.starts()

    async def an_expiry_runs(self) -> None:
        await self.acts(6)
        expiry = ("expire", "standby", "--retention", "1ms", "--yes")
        await self.does(*expiry, codes={0, 3, 7, 8})

    async def a_restore_runs(self) -> None:
        points = (await self.does("points", "--json", codes={0})).result["points"]
        offset = str(self.rng.choice(points)["offset"])
        restoring = ("restore", "standby", "--to-offset", offset, "--yes", "--accept-gaps")
        await self.does(*restoring, codes={0, 3, 4, 7, 8, 11})
        await self.acts(2)
        await self.run.terminate()
        resuming = ("apply", "standby", "--once", "--resume", "--yes")
        await self.does(*resuming, codes={0, 3})  # 3: it waits for bytes that were killed meanwhile
        await self.starts()

    async def a_proof_is_made(self) -> None:
        await self.acts(2)
        await self.does("verify", "standby", "--level", "checksum", "--json", codes={0})
        await self.acts(2)

    def beside_a_jump(self) -> list[BadThing]:
        return [
            self.the_source_goes_on,
            self.an_expiry_runs,
            self.run_is_started_again,
            self.a_restore_runs,
            self.run_is_killed_and_started_again,
            self.a_proof_is_made,
            self.others_take_over,
        ]

    def bad_things(self) -> list[BadThing]:
        return [
            self.the_clock_jumps,
            self.the_disk_of_the_log_is_full,
            self.the_store_is_read_only,
            self.run_stands_still_while_others_take_over,
            self.the_disk_of_the_store_is_full,
            self.the_disk_fails_under_the_log,
            self.the_disk_fails_under_the_store,
            self.an_expiry_stands_still_longer_than_its_lease,
            self.a_restore_stands_still_longer_than_its_lease,
        ]


def is_faked() -> bool:
    """Return whether a library fakes the clock of all processes, and not the program's own port."""
    return IS_LONG and FAKETIME is not None


@pytest.fixture
def clocked(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Processes]:
    """Start processes whose clock is wrong by what the file `clock` says."""
    clock_file = tmp_path / "clock"
    clock_file.write_text("+0")
    if not is_faked():
        yield request.getfixturevalue("forks")
        return
    (folder := tmp_path / "processes").mkdir()
    # a clock that is set does not touch the monotonic one, which the event loop waits by
    env = {
        "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock_file),
        "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }  # fmt: skip
    with processes(folder, env=env) as found:
        yield found


@pytest.fixture
async def machine(
    postgresql: Postgresql, tmp_path: Path, clocked: Processes, disks: tuple[Disk, Disk]
) -> AsyncIterator[BadMachine]:
    log, store = disks
    async with postgresql.database() as source, postgresql.database() as target:
        path = set_up(tmp_path, source, target, {"type": "sqlite", "path": f"{log.folder}/log"})
        found = yaml.safe_load(path.read_text())
        found["watch"]["idle_cut_interval_s"] = 2  # so that a long run has no long history
        found["targets"]["standby"]["expiry"] = {
            "lease": f"{LEASE_S}s", "margin": f"{LEASE_S / 4}s", "clock_skew_max": "1s",
            "restore_lease": f"{LEASE_S}s",
        }  # fmt: skip
        path.write_text(yaml.safe_dump(found))
        rng = Random(20)
        druid = DruidOnPostgresql(rng, source, tmp_path / "source")
        world = World(tmp_path, path, druid, target, clocked, rng)
        bad = BadMachine(world, log, store, tmp_path / "clock", rng)
        yield bad
        if bad.running is not None:
            await bad.running.kill()


async def test_nothing_is_lost_or_doubled_on_a_bad_machine(machine: BadMachine):
    things = [(thing.__name__, thing) for thing in machine.bad_things()]
    await survives(machine, things, rounds=ROUNDS)


@pytest.mark.long
async def test_nothing_is_lost_or_doubled_when_clocks_jump(machine: BadMachine):
    """Each jump beside each thing that has a lease, a wait or a time in it."""
    if not is_faked():
        pytest.skip("needs libfaketime (Debian: apt install faketime)")
    things = [
        (f"{jump_s:+d} s, {meanwhile.__name__}", partial(machine.clocks_jump, jump_s, meanwhile))
        for meanwhile in machine.beside_a_jump()
        for jump_s in JUMPS_S
    ]
    await survives(machine, things, rounds=JUMP_ROUNDS)


async def survives(
    machine: BadMachine, things: Sequence[tuple[str, BadThing]], *, rounds: int
) -> None:
    """Do one thing after another; each time the target must become what the source is."""
    await machine.starts()
    await machine.acts(20)
    await machine.catches_up()
    for number in range(rounds):
        name, thing = things[number % len(things)]
        try:
            await thing()
            await machine.catches_up()
        except Exception as exc:
            exc.add_note(f"round {number}: {name}")
            raise
        sys.stderr.write(f"round {number} clean: {name}\n")
    ended = await machine.run.terminate()
    assert ended.code == 0, ended.err[-3000:]
    await machine.world.settles()
