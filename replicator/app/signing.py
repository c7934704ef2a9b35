"""The keys of a target, made from its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from replicator.adapters.signing.area import Signatures, SignedArea

if TYPE_CHECKING:
    from pathlib import Path

    from replicator.app.wiring.storages import RealStorage
    from replicator.config import SigningSettings
    from replicator.model.observation import Observer
    from replicator.ports import Area, TargetStorage
    from replicator.services.store.witness import Witness

# The library of ciphers takes a twentieth of a second to import: only where there are keys.


def signatures(
    target: str, settings: SigningSettings | None, environ: Mapping[str, str], observer: Observer
) -> Signatures | None:
    """Return how a target's files are signed; None if it has no keys.

    Raises:
        ConfigError: a key cannot be read, or is invalid; the message names the setting.
    """
    if settings is None:
        return None
    from replicator.adapters.signing.ed25519 import (  # noqa: PLC0415 - see above
        Ed25519Keys,
        private_key,
        public_key,
    )

    at = f"targets.{target}.signing"
    named = "key_env" if settings.key_env is not None else "key_file"
    text = settings.key(environ)
    private = None if text is None else private_key(text, what=f"what {at}.{named} names")
    trusted = [
        public_key(key, what=f"{at}.trusted_keys, number {number},")
        for number, key in enumerate(settings.trusted_keys, start=1)
    ]
    accept = settings.unsigned == "accept"
    return Signatures(Ed25519Keys(private, trusted), accept_unsigned=accept, warn=observer)


class SharedKey(NamedTuple):
    """A key, and the targets that trust it: a signed file of one is valid in each."""

    key_id: str
    targets: Sequence[str]


def shared_keys(rules: Mapping[str, Signatures | None]) -> Sequence[SharedKey]:
    """Return the keys that more than one target trusts, its own among them."""
    targets = dict[str, list[str]]()
    for name, rule in rules.items():
        for key_id in sorted(() if rule is None else rule.key_ids):
            targets.setdefault(key_id, []).append(name)
    return [SharedKey(key_id, names) for key_id, names in targets.items() if len(names) > 1]


def sealed(storage: RealStorage, rule: Signatures | None) -> TargetStorage:
    """Return a target's storage as its services use it: with keys, its seals are verified."""
    if rule is None:
        return storage
    from replicator.adapters.signing.storage import SealedStorage  # noqa: PLC0415 - only with keys

    return SealedStorage(storage, rule)


def witness(target: str, place: str | Path, area: Area, rule: Signatures | None) -> Witness:
    """Return the witness of a target's store.

    Args:
        target: Name of the target.
        place: Target or folder that remembers.
        area: Plain files of that place.
        rule: How the target's files are signed: what is remembered of it is signed like them.
    """
    from replicator.services.store.witness import Witness  # noqa: PLC0415 - few have one

    name = f"target {place!r}" if isinstance(place, str) else str(place)
    return Witness(SignedArea(area, rule), target, f"the witness {name}")
