"""TLS of the port, with certificates that are reloaded when their files change."""

import asyncio
import ssl
from pathlib import Path

import structlog

from replicator.adapters.machine.threads import Threads
from replicator.config.operations.control import ControlTlsSettings
from replicator.errors import ConfigError
from replicator.services.running.pause import pause

log = structlog.get_logger("replicator")


class Certificates:
    """A TLS context that follows its files; open connections keep the certificate they began with.

    Raises:
        ConfigError: a file cannot be read, or the key does not fit the certificate.
    """

    def __init__(self, settings: ControlTlsSettings) -> None:
        self._settings = settings
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load()
        if settings.client_ca_file is not None:
            self._trust(settings.client_ca_file)
        self._seen = self._stamps()
        self._threads = Threads(f"the certificate {settings.certificate_file}")

    async def run(self, stop: asyncio.Event) -> None:
        """Check the files regularly until `stop` is set."""
        while not stop.is_set():
            await pause(stop, self._settings.reload_interval_s)
            await self._threads.finished(self.look)

    def look(self) -> None:
        """Load changed files; if they cannot be read, the previous certificate stays in use."""
        if (now := self._stamps()) == self._seen:
            return
        try:
            self._load()
        except ConfigError as exc:
            log.error("the previous certificate stays in use", reason=str(exc))  # noqa: TRY400
            return
        self._seen = now
        log.info("certificate read again", file=str(self._settings.certificate_file))

    def _load(self) -> None:
        settings = self._settings
        try:
            # OpenSSL takes a certificate and drops the key before it compares them, so a context
            # in use would be left with neither; a separate context fails first
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(settings.certificate_file, settings.key_file)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(
                f"web.control.tls: {settings.certificate_file} and {settings.key_file}"
                f" cannot be used: {exc}",
                hint="both are PEM files, and the key must fit the certificate",
            ) from exc

    def _trust(self, path: Path) -> None:
        try:
            self.context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"web.control.tls.client_ca_file: {path}: {exc}") from exc
        # A token is as good as a certificate: the door requires one of clients without the other.
        self.context.verify_mode = ssl.CERT_OPTIONAL

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(
            _stamp(path) for path in (self._settings.certificate_file, self._settings.key_file)
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
