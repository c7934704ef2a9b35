"""Ed25519 keys (RFC 8032), by `cryptography`: the machine's own, and those it trusts."""

from base64 import b64decode
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)

from replicator.errors import ConfigError
from replicator.model.operations.signature import Signature, key_id_of

PRIVATE_HINT = "make one with `openssl genpkey -algorithm ed25519 -out key.pem`"
PUBLIC_HINT = "`openssl pkey -in key.pem -pubout` prints it; the line between the two dashed ones"


class Ed25519Keys:
    """The `Keys` of one target.

    Args:
        private: This machine's own key; None: it only checks signatures.
        trusted: Public keys of other machines, and earlier ones of this machine.
    """

    def __init__(
        self, private: Ed25519PrivateKey | None, trusted: Sequence[Ed25519PublicKey]
    ) -> None:
        own = [] if private is None else [private.public_key()]
        self._private = private
        self._public: Mapping[str, Ed25519PublicKey] = {
            key_id_of(_raw(key)): key for key in [*own, *trusted]
        }
        self._own_id = key_id_of(_raw(own[0])) if own else ""

    @property
    def can_sign(self) -> bool:
        return self._private is not None

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self._public)

    def sign(self, message: bytes) -> Signature:
        if self._private is None:
            raise ConfigError("this machine has no key to sign with")
        return Signature(key_id=self._own_id, value=self._private.sign(message))

    def trusts(self, key_id: str) -> bool:
        return key_id in self._public

    def is_valid(self, message: bytes, signature: Signature) -> bool:
        try:
            self._public[signature.key_id].verify(signature.value, message)
        except (InvalidSignature, KeyError):
            return False
        return True


def private_key(text: str, *, what: str) -> Ed25519PrivateKey:
    """Return a private key from its PEM text.

    Args:
        text: PKCS #8, as `openssl genpkey` writes it, without a passphrase.
        what: Origin of the text in messages, which never repeat the text.

    Raises:
        ConfigError: the text is no such key.
    """
    try:
        found = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnicodeEncodeError):
        raise ConfigError(
            f"{what} is no PEM of a private key without a passphrase", hint=PRIVATE_HINT
        ) from None
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError(f"{what} is a private key, and none of Ed25519", hint=PRIVATE_HINT)
    return found


def public_key(text: str, *, what: str) -> Ed25519PublicKey:
    """Return a public key from the base64 of its SubjectPublicKeyInfo (RFC 8410).

    Raises:
        ConfigError: it is no such key.
    """
    try:
        found = load_der_public_key(b64decode(text, validate=True))
    except ValueError:
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise ConfigError(f"{what} is no public key of Ed25519", hint=PUBLIC_HINT)
    return found


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
