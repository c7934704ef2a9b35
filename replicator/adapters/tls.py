"""Which servers are trusted: those whose certificate an authority has signed."""

import ssl
from os import PathLike


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
