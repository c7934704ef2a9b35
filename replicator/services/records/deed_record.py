"""Keeps in a target's store who asked for what: `audit/<day>/<time>-<some digits>.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from secrets import token_hex
from typing import Final

import orjson

from replicator.ports import Area

FOLDER: Final = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One request, as it is remembered."""

    id: str
    """The same in both lines of one request: before it is done, and when it was answered."""
    at: datetime
    who: str
    """Name of the token or the certificate, `user@host` at a terminal; empty: nobody we know."""
    role: str
    address: str
    operation: str
    method: str
    path: str
    status: int | None
    """Of the answer; None: it is about to be done."""
    targets: tuple[str, ...]
    job_id: str | None
    request: Mapping[str, object] | None
    """What was asked for; its members hold no secret."""
    why: str
    """Why it was refused, or what it went on without; empty: neither."""


async def keep_deed(area: Area, deed: Deed) -> None:
    """Keep a deed for good, under a name that is not given twice.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    name = f"{FOLDER}/{deed.at:%Y/%m/%d/%H%M%S.%f}-{token_hex(4)}.json"
    await area.create(name, orjson.dumps(asdict(deed)))
