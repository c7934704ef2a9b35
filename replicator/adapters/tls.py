"""Which servers are believed: those whose certificate an authority has signed."""

import ssl
from os import PathLike


def trusting(ca_file: str | PathLike[str] | None) -> ssl.SSLContext:
    """Return how a server is believed by the authorities in a file in PEM; its name is checked.

    Since Python 3.13 certificates that RFC 5280 calls incomplete, as the ones that many companies'
    own authorities made, are refused (`VERIFY_X509_STRICT`). Who names such an authority here
    believes it; curl, libpq and Java do too. Nothing is added for the system's authorities.

    Args:
        ca_file: The authorities; None for the system's.

    Raises:
        OSError: the file cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=ca_file)
    if ca_file is not None:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
