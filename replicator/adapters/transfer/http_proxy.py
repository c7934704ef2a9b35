"""The HTTP proxy that the environment configures for a server.

The HTTP libraries read these variables in four different ways, or not at all. This is the one place
that reads them: every client gets the result and reads nothing itself.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from replicator.errors import ConfigError

SCHEMES = frozenset({"http", "https"})
METADATA_HOST = "metadata.google.internal"
METADATA_NETWORKS = ("169.254.0.0/16", "fd00:ec2::/32", "fd20:ce::/32")
"""Networks of the clouds' metadata servers: a proxy would answer with its own login."""


def proxy_for(url: str) -> str | None:
    """Return the proxy for requests to a URL; None: they go directly.

    `HTTP_PROXY` applies to http, `HTTPS_PROXY` to https, `ALL_PROXY` to a scheme without its own,
    in upper or lower case. `NO_PROXY` names hosts, domains with all their subdomains, networks like
    `10.0.0.0/8`, or `*`. Requests to this machine and to the server of its login are always direct.

    Raises:
        ConfigError: the variable is not the address of an HTTP proxy.
    """
    address = urlsplit(url)
    host, found = address.hostname or "", getproxies_environment()
    proxy = found.get(address.scheme) or found.get("all")
    if not proxy or _is_direct(host, address.netloc.rpartition("@")[2], found):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in SCHEMES or not urlsplit(proxy).hostname:
        raise ConfigError(
            f"{address.scheme.upper()}_PROXY or ALL_PROXY in the environment is no HTTP proxy, and"
            f" applies to {host}",
            hint=f"write it like http://proxy.example:3128, or name {host} in NO_PROXY",
        )
    return proxy


def excluded() -> str:
    """Return the hosts that are always reached directly, in the syntax of `NO_PROXY`."""
    named = getproxies_environment().get("no", "")
    ours = ("localhost", "127.0.0.0/8", "::1", METADATA_HOST, *METADATA_NETWORKS)
    return ",".join((*ours, named) if named else ours)


def _is_direct(host: str, netloc: str, found: dict[str, str]) -> bool:
    if host in {"localhost", METADATA_HOST} or host.endswith(".localhost"):
        return True
    named = [name.strip().lower().lstrip(".") for name in found.get("no", "").split(",")]
    names = [*named, *METADATA_NETWORKS]
    address = _address(host)
    if address is not None and (address.is_loopback or any(_within(address, n) for n in names)):
        return True
    return "*" in names or any(
        name and (host == name or netloc.lower() == name or host.endswith(f".{name}"))
        for name in names
    )


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _within(address: IPv4Address | IPv6Address, network: str) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False
