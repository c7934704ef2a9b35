"""The effect of a verb as a text that binds the process which carries the verb out.

The target may change between the plan that an operator reads and the process that carries it out.
The text has a digest for each part of the plan, over all rows and locations and not their counts.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256

import numpy as np
import orjson

from replicator.errors import ConfigError, RefusedError
from replicator.model.inventory.ledger import Keys
from replicator.model.plans.plan import Plan
from replicator.model.row import Kind

DIGEST_CHARS = 32
"""128 bits of each SHA-256: enough to tell plans apart; they are no protection against forgery."""
HINT = "make the plan again, read it, and carry that one out"


def expectation(**parts: object) -> str:
    """Return the text for a plan: its parts, each as JSON, bytes or a list of them."""
    return ",".join(f"{name}={_digest(value)}" for name, value in parts.items())


def sorted_keys(keys: Mapping[Kind, Keys]) -> list[object]:
    """Return key hashes by kind as a part, in a fixed order."""
    return [[kind.value, np.sort(keys[kind]).tobytes()] for kind in sorted(keys) if len(keys[kind])]


def parts_of(text: str) -> dict[str, str]:
    """Return the parts of a text.

    Raises:
        ConfigError: the text is not one that `expectation` returns.
    """
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(name and sign and digest for name, sign, digest in pairs):
        raise ConfigError(
            "--expect: that is no text that `expect` in the document of --dry-run --json has",
            hint=HINT,
        )
    return {name: digest for name, _, digest in pairs}


def refuse_unexpected(expected: str | None, now: str) -> None:
    """Refuse a plan that is not the expected one; None expects nothing.

    Raises:
        RefusedError: the effect would be another; the message names the changed parts.
        ConfigError: the expected text is not one that `expectation` returns.
    """
    if expected is None:
        return
    before, after = parts_of(expected), parts_of(now)
    names = dict.fromkeys((*before, *after))
    changed = [name.replace("_", " ") for name in names if before.get(name) != after.get(name)]
    if changed:
        raise RefusedError(
            f"nothing was changed: the plan would do something else now: {', '.join(changed)}",
            hint=HINT,
        )


def refuse_more_removals(agreed: Plan, now: Plan) -> None:
    """Refuse a repeated plan that removes rows which the operator was not shown.

    Raises:
        RefusedError: the new plan removes more rows than the agreed one.
    """
    none = np.empty(0, dtype="S1")
    if any(
        len(np.setdiff1d(keys, agreed.surplus.get(kind, none)))
        for kind, keys in now.surplus.items()
    ):
        raise RefusedError(
            "rows came to the target since the plan was made, and would be removed now", hint=HINT
        )


def _digest(value: object) -> str:
    data = orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    return sha256(data).hexdigest()[:DIGEST_CHARS]


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return sha256(value).hexdigest()
    if isinstance(value, int):
        return str(value)  # digests of cuts have 256 bits, which JSON's writer refuses
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return [_plain(one) for one in value]
    return value
