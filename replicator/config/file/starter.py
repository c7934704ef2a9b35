"""A first configuration from the answers to `init`: settings to try, and a commented file."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from replicator.config.file.loading import settings_of
from replicator.config.file.yaml_file import scalar
from replicator.config.settings import Settings
from replicator.errors import ConfigError

Part: TypeAlias = Mapping[str, object]
"""Keys and values of one section, as in the file."""
NOWHERE: Final = "/nonexistent/replicator-init"
STORAGES: Final = "a folder, s3://bucket/prefix, gs://bucket/prefix, azure://account/container/…,"
LINE_MAX: Final = 100
"""Length up to which a section is written in one line."""
_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*")
_YAML_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


@dataclass(frozen=True, slots=True)
class Login:
    """A metadata store, and the password that was typed as part of its URL."""

    part: Part
    password: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """The answers so far; None for a question without an answer."""

    source_name: str
    target_name: str
    source_metadata: Part | None = None
    source_storage: Part | None = None
    log: Part | None = None
    target_metadata: Part | None = None
    target_storage: Part | None = None
    target_druid: str | None = None
    """Address of the target's Coordinator."""

    def settings(self) -> Settings:
        """Return the answers as settings, without those that are still missing.

        Raises:
            ConfigError: an answer is invalid, alone or together with the others.
        """
        target = self._target()
        return settings_of(
            {
                "source": {
                    "name": self.source_name,
                    "metadata": self.source_metadata
                    or {"type": "postgresql", "url": "postgresql://nobody@nowhere.invalid/none"},
                    "deep_storage": self.source_storage or _folder(f"{NOWHERE}/source"),
                },
                "log": self.log or {"type": "sqlite", "path": f"{NOWHERE}/log"},
                "targets": {self.target_name: target} if len(target) > 1 or self.log else {},
            },
            "the answers",
        )

    def _target(self) -> dict[str, object]:
        found: dict[str, object] = {
            "deep_storage": self.target_storage or _folder(f"{NOWHERE}/target")
        }
        if self.target_metadata is not None:
            found["metadata"] = self.target_metadata
        if self.target_druid is not None:
            found["druid"] = {"coordinator_url": self.target_druid}
        return found

    def text(self) -> str:
        """Return the same configuration as `settings`, as a file with comments."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# Every setting with its default and meaning: `replicator config print`, and"
        yield "# config/replicator.yaml in the project. Passwords never stand here."
        yield "source:"
        yield f"  name: {_value(self.source_name)}  # in every event; never change it"
        yield from _section("metadata", self.source_metadata or {}, 2)
        yield from _section("deep_storage", self.source_storage or {}, 2)
        yield "  # kill_buffer: 30d  # how long the source's kill tasks spare an unused segment"
        yield ""
        yield from _section("log", self.log or {}, 0)
        yield ""
        yield "targets:"
        yield f"  {_value(self.target_name)}:"
        if self.target_metadata is None:
            yield "    # no metadata: an archive, which keeps bytes and history alone"
        else:
            yield from _section("metadata", self.target_metadata, 4)
        yield from _section("deep_storage", self.target_storage or {}, 4)
        yield from self._druid()
        yield "    # retention: 30d  # any point within it can be restored; default: for ever"
        yield "    # rpo: 60s  # how far it may lag before `replicator status` exits 10"
        yield ""
        yield "# web:"
        yield '#   listen: "127.0.0.1:9464"  # /metrics, /healthz, /readyz and /status.json'
        yield '#   control: {listen: "127.0.0.1:9465"}  # the page and the API, by `token create`'

    def _druid(self) -> Iterator[str]:
        if self.target_metadata is None:
            return
        if self.target_druid is not None:
            yield from _section("druid", {"coordinator_url": self.target_druid}, 4)
            return
        yield '    # druid: {coordinator_url: "http://coordinator:8081"}'
        yield "    #   its own Druid; `target create` then checks its settings, `promote` needs it"


def login_of(text: str) -> Login:
    """Return a metadata store from its URL, and the password that the URL contained.

    Raises:
        ConfigError: the text is not the URL of a metadata store.
    """
    kinds = {"postgresql": "postgresql", "postgres": "postgresql"}
    kinds |= {"mysql": "mysql", "mariadb": "mysql"}
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        raise ConfigError(f"{_shown(text)} is no URL") from None
    if (kind := kinds.get(parts.scheme)) is None:
        raise ConfigError(
            f"{_shown(text)} is no metadata store",
            hint="write postgresql://user@host:5432/database or mysql://user@host:3306/database",
        )
    login, at, hosts = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    url = urlunsplit(parts._replace(scheme=kind, netloc=f"{user}{at}{hosts}"))
    return Login({"type": kind, "url": url}, None if password is None else unquote(password))


def storage_of(text: str) -> Part:
    """Return a deep storage from a folder or a URL; further settings follow a `?`.

    Raises:
        ConfigError: the text is neither.
    """
    if text.startswith(("/", "~", ".")):
        path, _, query = text.partition("?")
        return {**_folder(str(Path(path).expanduser().absolute())), **_further(query)}
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ConfigError(f"{_shown(text)} is no URL") from None
    path, further = unquote(parts.path.strip("/")), _further(parts.query)
    match parts.scheme:
        case "s3" | "s3a" | "s3n" if parts.netloc:
            return {"type": "s3", "bucket": parts.netloc, **_prefix(path), **further}
        case "gs" | "google" if parts.netloc:
            return {"type": "google", "bucket": parts.netloc, **_prefix(path), **further}
        case "azure" if parts.netloc and path:
            container, _, prefix = path.partition("/")
            named = {"account": parts.netloc, "container": container}
            return {"type": "azure", **named, **_prefix(prefix), **further}
        case "hdfs" | "viewfs" if parts.netloc:
            filesystem = {"filesystem": f"{parts.scheme}://{parts.netloc}", "root": f"/{path}"}
            return {"type": "hdfs", **filesystem, **_hdfs(parts.hostname, further)}
        case _:
            raise ConfigError(
                f"{_shown(text)} is no deep storage",
                hint=f"write {STORAGES} or hdfs://namenode:8020/path?urls=http://namenode:9870;"
                " further settings stand behind ?, like ?region=eu-central-1",
            )


def log_of(text: str) -> Part:
    """Return a log from its file or Kafka's brokers; further settings follow a `?`.

    Raises:
        ConfigError: the text is neither.
    """
    if text.startswith("kafka://"):
        rest = text.removeprefix("kafka://")
        place, _, query = rest.partition("?")
        servers, _, prefix = place.partition("/")
        named = {"topic_prefix": prefix.strip("/")} if prefix.strip("/") else {}
        brokers = [one.strip() for one in servers.split(",") if one.strip()]
        return {"type": "kafka", "bootstrap_servers": brokers, **named, **_further(query)}
    if text.startswith(("/", "~", ".")):
        return {"type": "sqlite", "path": str(Path(text).expanduser().absolute())}
    raise ConfigError(
        f"{_shown(text)} is no log",
        hint="write a file, like /var/lib/druid-replicator/prod.log, or"
        " kafka://broker1:9092,broker2:9092",
    )


def _folder(root: str) -> Part:
    return {"type": "local", "root": root}


def _prefix(path: str) -> Part:
    return {"prefix": path} if path else {}


def _hdfs(host: str | None, further: Part) -> Part:
    """Assume the name node's default HTTP port if no WebHDFS address is given."""
    urls = further.get("urls", f"http://{host}:9870")
    return {**further, "urls": urls.split(",") if isinstance(urls, str) else urls}


def _further(query: str) -> Part:
    found: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found[name] = scalar(value)
    return found


def _shown(text: str) -> str:
    """Return an answer without the password that it may contain."""
    return re.sub(r"(//[^/@:]*):[^@]*@", r"\1:…@", text)


def _section(name: str, part: Part, indent: int) -> Iterator[str]:
    space = " " * indent
    short = f"{space}{name}: {{{', '.join(f'{key}: {_value(one)}' for key, one in part.items())}}}"
    if len(short) <= LINE_MAX and not part.keys() & _NOTES.keys():
        yield short
        return
    yield f"{space}{name}:"
    for key, value in part.items():
        note = _NOTES.get(key, "")
        yield f"{space}  {key}: {_value(value)}" + (f"  # {note}" if note else "")


_NOTES: Final[Mapping[str, str]] = {
    "password_env": "names the environment variable that holds the password",
    "root_in_load_spec": "the same folder as Druid sees it",
    "replication_factor": "copies of the topic; 3 where there are three brokers",
}


def _value(value: object) -> str:
    """Return a value as YAML, quoted where it could be read as another type."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
