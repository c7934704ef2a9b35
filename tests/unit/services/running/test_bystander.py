"""A service that stands by the copies begins anew after a failure, and ends no other."""

import asyncio

from replicator.errors import RefusedError
from replicator.services.running.bystander import AGAIN_S, Bystander
from replicator.services.running.supervisor import supervise
from tests.simulation.virtual_time import in_virtual_time


class Fails:
    """Fails as given, then runs until it is told to stop."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.runs = False

    async def run(self, stop: asyncio.Event) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.runs = True
        await stop.wait()


def test_it_begins_anew_after_each_failure_and_the_copies_go_on():
    refused, defect = RefusedError("a link"), ValueError("a defect")
    fails, copies, failures = Fails(refused, defect), Fails(), list[Exception]()

    async def within() -> None:
        stop = asyncio.Event()
        beside = Bystander(fails, failed=failures.append)
        running = asyncio.create_task(
            supervise({"apply": copies, "canary": beside}, stop=stop, drain_s=1)
        )
        await asyncio.sleep(AGAIN_S - 1)
        assert (copies.runs, fails.runs, failures) == (True, False, [refused])
        await asyncio.sleep(AGAIN_S + 2)
        assert (fails.runs, failures) == (True, [refused, defect])
        stop.set()
        await running

    in_virtual_time(within())


def test_it_is_not_begun_again_at_the_end_and_may_end_by_itself():
    async def within() -> None:
        stop, ends = asyncio.Event(), Fails(ValueError("a defect"))
        await Bystander(ends, failed=lambda _: stop.set()).run(stop)
        assert not ends.runs

    in_virtual_time(within())
