"""The event loop of asynchronous tests: the program's own, which says what was left open."""

import asyncio
import warnings
from typing import Any, cast

from replicator.adapters.machine import event_loop


class Loop(event_loop.Loop):
    """A uvloop that fails when it is closed over a connection that nobody closed.

    uvloop 0.23 says so by a warning inside of its `close`, and where warnings are errors it then
    waits until the peer ends the connection, which no signal ends: Kafka does so after ten minutes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._encrypted: list[asyncio.Transport] = []

    async def create_connection(self, *args: Any, ssl: Any = None, **more: Any) -> Any:
        transport, protocol = await super().create_connection(*args, ssl=ssl, **more)
        if ssl is not None:
            self._encrypted.append(cast("asyncio.Transport", transport))
        return transport, protocol

    def close(self) -> None:
        if self.is_closed():
            return
        self._end_farewells()
        with warnings.catch_warnings(record=True) as left:
            warnings.simplefilter("always")
            super().close()
        if left:
            raise ResourceWarning("; ".join(str(one.message) for one in left))

    def _end_farewells(self) -> None:
        """Abort what was closed, and waits for its peer to say the same.

        aiokafka 0.14 does not wait for the end of the connection by which it met the cluster.
        """
        for transport in self._encrypted:
            if transport.is_closing():
                transport.abort()
        self._encrypted.clear()
        self.run_until_complete(asyncio.sleep(0))
