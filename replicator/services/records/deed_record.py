"""Keeps in a target's store who asked for what: `audit/<day>/<time>-<random digits>.json`."""

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
"""Longest request that is kept as it is: a longer one would push others out of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One request, as it is recorded."""

    id: str
    """Id of a request, the same in both of its lines: before it is done, and when answered."""
    at: datetime
    who: str
    """Name of the token or the certificate, `user@host` at a terminal; empty: unknown."""
    role: str
    token: str = ""
    """Its id, as `token list` shows it, as a name can be given again; empty: there was none."""
    address: str
    operation: str
    method: str
    path: str
    status: int | None
    """Status of the answer; None: the request is about to be done."""
    targets: tuple[str, ...]
    job_id: str | None
    request: Mapping[str, object] | None
    """The request, as shortened by `short_request`; its members hold no secret."""
    why: str
    """Why it was refused, or what was missing when it continued; empty: neither."""


def short_request(request: Mapping[str, object] | None) -> Mapping[str, object] | None:
    """Return a request as it is kept: whole, or its beginning, its size and its SHA-256."""
    text = orjson.dumps(request)
    if len(text) <= REQUEST_BYTES_MAX:
        return request
    return {
        "begins": text[:REQUEST_BYTES_MAX].decode(errors="ignore"),
        "bytes": len(text),
        "sha256": sha256(text).hexdigest(),
    }


async def keep_deed(area: Area, deed: Deed) -> None:
    """Keep a deed under a name that is used only once.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    name = f"{FOLDER}/{deed.at:%Y/%m/%d/%H%M%S.%f}-{token_hex(4)}.json"
    await area.create(name, orjson.dumps(asdict(deed)))
