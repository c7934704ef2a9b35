"""Keeps in a target's store who asked for what: `audit/<day>/<time>-<some digits>.json`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from secrets import token_hex
from typing import Final

import orjson

from replicator.ports import Area

FOLDER: Final = "audit"
REQUEST_BYTES_MAX: Final = 2048
"""Of a request that is remembered as it is: a longer one would push others out of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One request, as it is recorded."""

    id: str
    """The same in both lines of one request: before it is done, and when it was answered."""
    at: datetime
    who: str
    """Name of the token or the certificate, `user@host` at a terminal; empty: nobody we know."""
    role: str
    token: str = ""
    """Its id, as `token list` shows it, as a name can be given again; empty: there was none."""
    address: str
    operation: str
    method: str
    path: str
    status: int | None
    """Of the answer; None: it is about to be done."""
    targets: tuple[str, ...]
    job_id: str | None
    request: Mapping[str, object] | None
    """What was asked for, as `short_request` leaves it; its members hold no secret."""
    why: str
    """Why it was refused, or what it went on without; empty: neither."""


def short_request(request: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return a request as it is remembered: whole, or how it begins, its size and its SHA-256."""
    text = orjson.dumps(request)
    if len(text) <= REQUEST_BYTES_MAX:
        return request
    return {
        "begins": text[:REQUEST_BYTES_MAX].decode(errors="ignore"),
        "bytes": len(text),
        "sha256": sha256(text).hexdigest(),
    }


async def keep_deed(area: Area, deed: Deed) -> None:
    """Keep a deed for good, under a name that is not given twice.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    name = f"{FOLDER}/{deed.at:%Y/%m/%d/%H%M%S.%f}-{token_hex(4)}.json"
    await area.create(name, orjson.dumps(asdict(deed)))
