"""The release that any server of a Druid reports."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicator.adapters.druid.request import DruidLogin, DruidServers, answered
from replicator.adapters.transfer.answers import AnswerShape

PATH = "/status"
WHOSE = "a server of a Druid"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ServerStatus:
    version: str | None = None


_SERVER = AnswerShape[_ServerStatus](_ServerStatus)


class DruidStatus:
    """A `TellsRelease`: servers of every kind answer alike."""

    def __init__(self, urls: Sequence[str], login: DruidLogin, *, timeout_s: float) -> None:
        self._servers = DruidServers(urls, login)
        self._timeout_s = timeout_s

    async def release(self) -> str:
        async with self._servers.send("GET", PATH, timeout_s=self._timeout_s) as answer:
            found = await answered(answer, str(answer.url), whose=WHOSE, shape=_SERVER)
        return found.version or ""
