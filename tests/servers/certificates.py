"""Certificates for a test: an authority, and what it signs."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from replicator.adapters.machine.clock import SystemClock

STARTS = timedelta(hours=-1)
"""When certificates begin to be valid, from now."""


@dataclass(frozen=True)
class Certificate:
    """Two files in PEM."""

    file: Path
    key_file: Path


class Authority:
    """Signs certificates for a day."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.file = folder / f"{name}.pem"
        signed = self._signed(name, self._key.public_key(), is_authority=True)
        self.file.write_bytes(signed.public_bytes(Encoding.PEM))

    def certificate(
        self, name: str, *, host: str | None = None, starts: timedelta = STARTS
    ) -> Certificate:
        """Make one for a client, or for the server at a host; `starts`: from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        found = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        signed = self._signed(name, key.public_key(), host=host, starts=starts)
        found.file.write_bytes(signed.public_bytes(Encoding.PEM))
        found.key_file.touch(mode=0o600)
        found.key_file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        return found

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        *,
        host: str | None = None,
        is_authority: bool = False,
        starts: timedelta = STARTS,
    ) -> x509.Certificate:
        now = SystemClock().now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + starts + timedelta(days=1, hours=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if host is not None:
            hosts = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = builder.add_extension(hosts, critical=False)
        return builder.sign(self._key, SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
