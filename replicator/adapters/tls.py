"""Which servers are trusted: those whose certificate an authority has signed."""

import ssl
from os import PathLike
from typing import Final

EXPIRED_HINT: Final = (
    "renew the server's certificate, and let the server read it; a process that runs on goes on by"
    " itself then. If it is still valid, this machine's clock is wrong"
)
TOO_NEW_HINT: Final = (
    "compare the clocks of this machine and of the one that made the certificate; a process that"
    " runs on goes on by itself when they agree"
)


def trusting(ca_file: str | PathLike[str] | None) -> ssl.SSLContext:
    """Return a context that trusts the authorities in a PEM file and checks the server's name.

    Since Python 3.13 certificates that RFC 5280 calls incomplete, such as those of many companies'
    own authorities, are refused (`VERIFY_X509_STRICT`). An operator who names such an authority
    trusts it, as curl, libpq and Java do. For the system's authorities nothing is relaxed.

    Args:
        ca_file: The authorities; None for the system's.

    Raises:
        OSError: the file cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is not None:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def distrust_hint(words: str, otherwise: str) -> str:
    """Return what to do about a certificate that is not trusted: most often it has expired.

    Args:
        words: What OpenSSL or rustls says of it.
        otherwise: The hint about an unknown authority or another host.
    """
    text = words.lower().replace(" ", "")
    if "notyetvalid" in text or "notvalidyet" in text:
        return TOO_NEW_HINT
    return EXPIRED_HINT if "expired" in text else otherwise
