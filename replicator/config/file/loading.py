"""Settings from defaults, a file, the environment and flags; a later one overrules an earlier one.

A variable is the dotted key in upper case, its dots as two underscores, behind `REPLICATOR__`:
`targets.standby.rpo` is `REPLICATOR__TARGETS__STANDBY__RPO`, and a dash of a target's name is one
underscore. Values are written as in YAML: `5`, `30s`, `[a, b]`, `"007"` for a text of digits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from replicator.config.file.keys import known_keys, nearest
from replicator.config.file.yaml_file import ParsedYaml, parse, scalar
from replicator.config.settings import Settings
from replicator.errors import ConfigError

ENVIRONMENT_PREFIX = "REPLICATOR__"
FLAG_HINT = "write it like --set watch.poll_interval_s=5"

Key: TypeAlias = tuple[str, ...]


class Origin(Enum):
    """Origin of a value."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One setting: its dotted key, its value as in a file, and its origin."""

    key: str
    value: object
    origin: Origin
    place: str
    """File and line, variable, or flag; empty for a default."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """Values merged from all origins, not validated yet."""

    file: Path
    values: dict[str, Any]
    places: dict[Key, tuple[Origin, str]] = field(default_factory=dict)

    def put(self, key: Key, value: object, origin: Origin, place: str) -> None:
        """Set one value; it replaces what an earlier origin set at or below the key."""
        at: dict[str, Any] = self.values
        for length, step in enumerate(key[:-1], start=1):
            below = at.get(step)
            if not isinstance(below, dict):
                below = at[step] = {}
                self.places[key[:length]] = (origin, place)
            at = below
        at[key[-1]] = value
        for known in [known for known in self.places if known[: len(key)] == key]:
            del self.places[known]
        self._mark(key, value, (origin, place))

    def origin(self, key: Key) -> tuple[Origin, str]:
        """Return where exactly this key was set."""
        return self.places.get(key, (Origin.DEFAULT, ""))

    def nearest_place(self, key: Key) -> str:
        """Return where this key, or the nearest key above it, was set."""
        above = (self.places.get(key[:length]) for length in range(len(key), 0, -1))
        return next((place for _, place in filter(None, above)), str(self.file))

    def _mark(self, key: Key, value: object, origin: tuple[Origin, str]) -> None:
        self.places[key] = origin
        if isinstance(value, dict):
            for name, below in value.items():
                self._mark((*key, str(name)), below, origin)


def load(
    path: Path, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Settings:
    """Return the settings of a file, overridden by variables and then by flags.

    `overrides` maps dotted keys to values; None is null, as in the file.

    Raises:
        ConfigError: the file cannot be read, a key is unknown, a value is invalid, or two
            clusters would write into each other. The message lists all problems, one a line.
    """
    return _settings(_draft(path, environ, overrides or {}))


def settings_of(values: Mapping[str, Any], name: str) -> Settings:
    """Return settings from values without a file; messages contain `name` instead of its path.

    Raises:
        ConfigError: as for `load`.
    """
    return _settings(_Draft(Path(name), dict(values)))


def explain(
    path: Path, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> list[Explained]:
    """Return every setting with its value and origin, in the order of the reference.

    No value needs to be masked: a URL that contains a password is refused, and other passwords are
    in variables or files that the settings only name.

    Raises:
        ConfigError: as for `load`.
    """
    draft = _draft(path, environ, overrides or {})
    dumped = _settings(draft).model_dump(by_alias=True)
    return [
        Explained(key=".".join(key), value=value, origin=origin, place=place)
        for key, value in _leaves(dumped, ())
        for origin, place in [draft.origin(key)]
    ]


def _draft(path: Path, environ: Mapping[str, str], overrides: Mapping[str, object]) -> _Draft:
    parsed = _read(path)
    draft = _Draft(path, parsed.values)
    for key, line in parsed.lines.items():
        draft.places[key] = (Origin.FILE, f"{path}:{line}")
    for key, variable in _variables_by_key(environ, parsed.values).items():
        draft.put(key, _value_of(variable, environ[variable]), Origin.ENVIRONMENT, variable)
    for dotted in sorted(overrides):  # what is above a key before the key
        if not all(steps := tuple(dotted.split("."))):
            raise ConfigError(f"--set {dotted} names no setting", hint=FLAG_HINT)
        draft.put(steps, overrides[dotted], Origin.FLAG, f"--set {dotted}")
    return draft


def _variables_by_key(environ: Mapping[str, str], values: Mapping[str, Any]) -> dict[Key, str]:
    """Return the variables by the keys that they set, shorter keys first.

    Raises:
        ConfigError: two variables set one key.
    """
    found: dict[Key, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        key = _key_of(variable, values)
        if key in found:
            raise ConfigError(
                f"the environment variables {found[key]} and {variable} both set {'.'.join(key)}",
                hint="keep one of them",
            )
        found[key] = variable
    return found


def _read(path: Path) -> ParsedYaml:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(
            f"the configuration {path} cannot be read: {exc.strerror}",
            hint="name it with --config; `replicator init` writes a first one",
        ) from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"the configuration {path} is not UTF-8: {exc.reason}") from exc
    return parse(text, str(path))


def _key_of(variable: str, values: Mapping[str, Any]) -> Key:
    steps = variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
    if not all(steps):
        raise ConfigError(
            f"the environment variable {variable} names no setting",
            hint=f"write it like {ENVIRONMENT_PREFIX}WATCH__POLL_INTERVAL_S",
        )
    key: list[str] = []
    at: Any = values
    for step in steps:
        names = at if isinstance(at, dict) else {}
        meant = [name for name in names if _as_in_variable(name) == step]
        if len(meant) > 1:
            raise ConfigError(
                f"the environment variable {variable} could mean each of {', '.join(meant)}",
                hint="set it with `--set`, or in the file",
            )
        key.append(meant[0] if meant else step)
        at = names.get(key[-1])
    return tuple(key)


def _as_in_variable(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _value_of(variable: str, text: str) -> object:
    try:
        return scalar(text)
    except ConfigError as exc:
        raise ConfigError(f"environment variable {variable}: {exc}", hint=exc.hint) from None


def _settings(draft: _Draft) -> Settings:
    try:
        return Settings.model_validate(draft.values)
    except ValidationError as exc:
        found = exc.errors(include_url=False, include_input=False, include_context=True)
        problems = [_problem(draft, problem) for problem in found]
        raise ConfigError("\n".join(problems)) from None


def _problem(draft: _Draft, problem: Mapping[str, Any]) -> str:
    """Return place, key and problem; never the value, which may be a secret."""
    steps = tuple(str(step) for step in problem["loc"] if step != "[key]")
    key = _without_tags(steps, draft.values)
    place, name = draft.nearest_place(key), ".".join(key)
    is_named = not name or place.split()[-1] == name  # a flag is
    where = f"{place}: " if is_named else f"{place}: {name}: "
    match problem["type"]:
        case "extra_forbidden":
            return where + _unknown(key, draft.values)
        case "missing":
            return where + "is required"
        case "value_error":
            return where + str(problem["ctx"]["error"])
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            return where + "keys and values are expected below it"
        case "string_pattern_mismatch" if "[key]" in problem["loc"]:
            return where + "a name has letters, digits, dashes and single underscores only"
        case _:
            return where + _expected(problem)


def _expected(problem: Mapping[str, Any]) -> str:
    """Return what is expected, in an operator's words instead of Python's."""
    kind, context = str(problem["type"]), problem.get("ctx", {})
    if kind in EXPECTED:
        return f"{EXPECTED[kind]} is expected"
    match kind:
        case "literal_error" | "enum":
            return f"{context['expected']} is expected"
        case "union_tag_invalid" | "union_tag_not_found":
            name = str(context["discriminator"]).strip("'")
            listed = context.get("expected_tags")
            return f"its {name} must be one of {listed}" if listed else f"its {name} is missing"
        case _:
            message = str(problem["msg"])
            for named in ("Input should ", "String should ", "Value should "):
                message = message.replace(named, "must ", 1)
            return message[:1].lower() + message[1:]


_LIST, _WHOLE, _NUMBER = "a list, like [a, b],", "a whole number", "a number"
_TEXT, _FLAG = "text (in quotes, if it looks like a number or a date)", "true or false"
EXPECTED: Final[Mapping[str, str]] = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "string_type": _TEXT,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "a finite number",
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "path_type": "a path",
    "none_required": "nothing",
}
"""Expected values by pydantic's error type."""


def _unknown(key: Key, values: Mapping[str, Any]) -> str:
    if key[-1] == "password":
        return (
            "a password does not stand in the configuration; name the variable or the file that"
            " holds it: password_env or password_file"
        )
    suggestion = nearest(key, values)
    if suggestion:
        return f"unknown key; the nearest right one is {suggestion}"
    known = ", ".join(known_keys(key[:-1], values))
    return (
        f"unknown key; here can stand {known}" if known else "unknown key; nothing can stand here"
    )


def _without_tags(key: Key, values: Mapping[str, Any]) -> Key:
    """Leave out the tags that pydantic adds to a location inside a union."""
    steps: list[str] = []
    at: Any = values
    for step in key:
        below = at if isinstance(at, dict) else {}
        if step not in below and below.get("type") == step:
            continue
        steps.append(step)
        at = below.get(step)
    return tuple(steps)


def _leaves(values: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, object]]:
    for name, value in values.items():
        key = (*above, name)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, key)
        else:
            yield key, value
