"""Types of settings: quantities with units, names, paths, and references to secrets.

Only secrets are read from files and variables, and only when they are needed.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from math import isfinite
from os.path import normpath
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from replicator.errors import ConfigError

_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PORT_MAX = 65_535
_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}", re.ASCII)
_POSTGRESQL_PORT = 5432
_OF_MYSQL = frozenset({"ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"})
"""Options that a MySQL URL may have, by the names of MySQL's own client."""
_LIBPQ_ALONE = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "replication",
        "require_auth",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""Options that asyncpg would send to the server, which does not know them."""
_DURATION_MAX_S = 36_500 * 86_400
"""A century, so that the present time plus any duration is still a valid date."""
_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]+)", re.ASCII)


def duration(value: object) -> timedelta:
    """Read `30s`, `5m`, `12h`, `30d`, or a number of seconds.

    Raises:
        ValueError: it is none of these, or longer than 36500 days.
    """
    if isinstance(value, timedelta):
        return value
    seconds = _quantity(value, _UNIT_S, "a duration is written like 30s, 5m, 12h, 30d")
    if not abs(seconds) <= _DURATION_MAX_S:
        raise ValueError("the duration is too long: at most 36500d")
    return timedelta(seconds=seconds)


def duration_setting(value: timedelta) -> str:
    """Write a duration as `duration` reads it, in the largest unit that divides it."""
    seconds = value.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNIT_S[unit] == 0:
            return f"{seconds / _UNIT_S[unit]:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def size(value: object) -> int:
    """Read `64MiB`, or a number of bytes.

    Raises:
        ValueError: it is none of these, or no whole number of bytes.
    """
    found = _quantity(value, _UNIT_BYTES, "a size is written like 512KiB, 64MiB, 2GiB")
    if not isfinite(found) or found != int(found):
        raise ValueError("a size is a whole number of bytes")
    return int(found)


def size_setting(value: int) -> str:
    """Write a size as `size` reads it, in the largest unit that divides it."""
    units = reversed(_UNIT_BYTES.items())
    factor, unit = next((f, u) for u, f in units if f == 1 or (value and value % f == 0))
    return f"{value // factor}{unit}"


def _quantity(value: object, units: Mapping[str, float], usage: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    found = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found["unit"] not in units:
        raise ValueError(usage)
    return float(found["number"]) * units[found["unit"]]


def _absolute(value: object) -> object:
    if not isinstance(value, (str, Path)):
        raise ValueError("a path is expected")  # noqa: TRY004 - pydantic reports ValueErrors
    value = str(value)
    if not value.startswith("/") or "\0" in value:
        raise ValueError("the path is not absolute: it would depend on where the program starts")
    return Path("/" + normpath(value).lstrip("/"))


# Not `str` and `sorted` themselves: pydantic reads the signature of a built-in function by a parser
# that takes 3 ms of each verb's start.
def _path_setting(path: Path) -> str:
    return str(path)


def _names_setting(names: frozenset[str]) -> list[str]:
    return sorted(names)


def nothing_is_empty(value: object) -> object:
    """Accept a key without members, because all of them are commented out."""
    return {} if value is None else value


def _names(value: object) -> object:
    if isinstance(value, (list, tuple, set, frozenset)):
        with suppress(TypeError):
            return frozenset(value)
    raise ValueError("a list of names is expected, like [a, b]")


def _as_tuple(value: object) -> object:
    """Return a list as a tuple, and a single text as a tuple of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _addresses(value: object) -> object:
    """Return a list, or a text with commas as Kafka's tools write it, as a tuple."""
    if isinstance(value, str):
        return _some([part.strip() for part in value.split(",") if part.strip()])
    return _some(value)


def _one_or_more(value: object) -> object:
    found = (value,) if isinstance(value, str) else _as_tuple(value)
    if not isinstance(found, tuple) or not found:
        raise ValueError("a URL or a list of URLs is expected")
    return found


def _one_as_itself(urls: tuple[str, ...]) -> str | list[str]:
    return urls[0] if len(urls) == 1 else list(urls)


def _http(url: str) -> str:
    """Accept only the plain address of a server; messages never repeat the URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the URL cannot be read; is its port a number?") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL contains a login; say username, password_env or password_file")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the URL is not like http://host:8081")
    return url.rstrip("/")


def _with_port(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("write it as host:port, like kafka-1.example:9092")
    if int(address.rpartition(":")[2]) > _PORT_MAX:
        raise ValueError(f"a port is at most {_PORT_MAX}")
    return address


def _some(value: object) -> object:
    """Require at least one entry; pydantic would only count the valid ones."""
    if isinstance(value, (list, tuple)) and not value:
        raise ValueError("at least one is expected")
    return _as_tuple(value)


def _without_password(url: str) -> str:
    """Refuse a URL that contains a secret or an unknown option; messages never repeat the URL."""
    try:
        parts, options = urlsplit(url), _options(url)
        postgresql_hosts(url)
    except ValueError:
        raise ValueError("the URL cannot be read; is its port a number?") from None
    if parts.password is not None or not options.keys().isdisjoint({"password", "sslpassword"}):
        raise ValueError(
            "the URL contains a password; take it out, and name the variable or the file that"
            " holds it: password_env or password_file"
        )
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("the URL does not start with postgresql://")
    if not parts.path.strip("/") and options.keys().isdisjoint({"dbname", "database", "service"}):
        raise ValueError("the URL names no database: postgresql://user@host:5432/database")
    if unknown := sorted(options.keys() & _LIBPQ_ALONE):
        raise ValueError(
            f"the URL's option {unknown[0]} is libpq's and not known here; connect_timeout_s and"
            " statement_timeout_s are settings beside the url"
        )
    return url


def _mysql(url: str) -> str:
    """Refuse a URL that contains a secret or an unknown option; messages never repeat the URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the URL cannot be read; is its port a number?") from None
    if parts.password is not None:
        raise ValueError(
            "the URL contains a password; take it out, and name the variable or the file that"
            " holds it: password_env or password_file"
        )
    if parts.scheme not in {"mysql", "mariadb"}:
        raise ValueError("the URL does not start with mysql://")
    if "," in parts.netloc:
        raise ValueError("the URL names several hosts: name one, or an address that moves")
    if not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise ValueError("the URL names no database: mysql://user@host:3306/database")
    if unknown := sorted(dict(parse_qsl(parts.query, keep_blank_values=True)).keys() - _OF_MYSQL):
        known = ", ".join(sorted(_OF_MYSQL))
        raise ValueError(f"the URL's option {unknown[0]} is not known here; {known} are")
    return url


def postgresql_hosts(url: str) -> tuple[tuple[str, int], ...]:
    """Return the hosts of a URL with their ports, as libpq reads a list of them.

    A host is a name, an address, or the folder of a Unix socket.

    Raises:
        ValueError: a port is not a number, or the numbers of hosts and ports differ.
    """
    options = _options(url)
    listed = urlsplit(url).netloc.rpartition("@")[2] or options.get("host", "localhost")
    hosts = [_host(text) for text in listed.split(",")]
    ports = [int(port) for port in options.get("port", str(_POSTGRESQL_PORT)).split(",")]
    if len(ports) == 1:
        ports *= len(hosts)
    found = [(name, own or port) for (name, own), port in zip(hosts, ports, strict=True)]
    if not all(0 < port <= _PORT_MAX for _, port in found):
        raise ValueError(f"a port is at most {_PORT_MAX}")
    return tuple(found)


def _host(text: str) -> tuple[str, int | None]:
    """Return a host and its own port, if it has one; IPv6 addresses are in brackets."""
    name, separator, port = unquote(text).rpartition(":")
    if name.startswith("/") or not separator or port.endswith("]"):
        return unquote(text).strip("[]").lower(), None
    return name.strip("[]").lower(), int(port)


def _options(url: str) -> dict[str, str]:
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


Duration = Annotated[
    timedelta, Field(gt=timedelta(0)), BeforeValidator(duration), PlainSerializer(duration_setting)
]
Delay = Annotated[
    timedelta, Field(ge=timedelta(0)), BeforeValidator(duration), PlainSerializer(duration_setting)
]
"""A duration that may be zero."""
Size = Annotated[int, BeforeValidator(size), PlainSerializer(size_setting)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute), PlainSerializer(_path_setting)]
Names = Annotated[
    frozenset[Annotated[str, Field(min_length=1)]],
    BeforeValidator(_names),
    PlainSerializer(_names_setting),
]
Address = Annotated[str, AfterValidator(_with_port)]
"""`host:port`, or `[IPv6]:port`."""
AsTuple = BeforeValidator(_as_tuple)
SomeAsTuple = BeforeValidator(_some)
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_addresses)]
"""At least one address: a list, or a text with commas."""
HttpUrl = Annotated[str, AfterValidator(_http)]
HttpUrls = Annotated[
    tuple[HttpUrl, ...], BeforeValidator(_one_or_more), PlainSerializer(_one_as_itself)
]
"""The URL of one server, or a list of URLs that are tried in turn."""
PostgresqlUrl = Annotated[str, AfterValidator(_without_password)]
MysqlUrl = Annotated[str, AfterValidator(_mysql)]
DruidRelease = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d+){0,2}$")]
"""A Druid release, `33.0.0`, or the first numbers of one."""
Positive = Annotated[float, Field(gt=0, le=86_400)]
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63)]
TargetName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9-]+)*$", max_length=63)
]
"""A target's name, without dots and double underscores: keys and variables contain it."""


Tiers = Annotated[
    Mapping[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]],
    BeforeValidator(nothing_is_empty),
]


class Section(BaseModel):
    """A group of settings: strict and frozen; unknown keys are errors."""

    model_config = ConfigDict(
        defer_build=True,
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    @classmethod
    def defaults(cls) -> Self:
        """Return the section with its defaults, as it is if the file leaves it out.

        Nothing is validated, because that would build a validator for each section at the start of
        every verb; a test compares the result with the validated one.
        """
        return cls.model_construct()

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_defaults(cls, value: object) -> object:
        return nothing_is_empty(value)


class Password(Section):
    """A password, given by the name of a variable or a file."""

    password_env: Annotated[str, Field(min_length=1)] | None = None
    """Name of the environment variable that holds the password."""
    password_file: AbsolutePath | None = None
    """File that holds the password; a newline at the end is not part of it."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_env is not None and self.password_file is not None:
            raise ValueError("password_env and password_file are both set; keep one of them")
        return self

    def password(self, environ: Mapping[str, str]) -> str | None:
        """Return the password; None if none is configured.

        Raises:
            ConfigError: the variable is not set, or the file cannot be read.
        """
        if self.password_env is not None:
            return secret_of(environ, self.password_env)
        if self.password_file is not None:
            return secret_in(self.password_file)
        return None


def secret_of(
    environ: Mapping[str, str], name: str, *, what: str = "password", setting: str = "password_env"
) -> str:
    """Return the value of a variable; `what` and `setting` appear in messages.

    Raises:
        ConfigError: the variable is not set, or empty.
    """
    if not (found := environ.get(name)):
        raise ConfigError(
            f"the environment variable {name} is not set; it should hold a {what}",
            hint=f"set {name}, or name another variable in {setting}",
        )
    return found


def secret_in(path: Path, *, what: str = "password") -> str:
    """Return the contents of a file without the newline at the end; `what` appears in messages.

    Raises:
        ConfigError: the file cannot be read, or is empty.
    """
    try:
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError(f"the {what} file {path} cannot be read: {reason}") from None
    found = found.removesuffix("\n").removesuffix("\r")
    if not found:
        raise ConfigError(f"the {what} file {path} is empty")
    return found
