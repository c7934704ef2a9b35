"""YAML with the line of every key; duplicate keys are refused."""

from dataclasses import dataclass
from typing import Any, cast

import yaml

from replicator.errors import ConfigError

DEPTH_MAX = 16
"""Depth that no setting reaches; it also ends an alias that contains itself."""
VALUES_MAX = 100_000
"""Number of values that no configuration has: aliases of aliases multiply, a kilobyte to 10^11."""


@dataclass(frozen=True, slots=True)
class ParsedYaml:
    """A file's values, and the line of each key, counted from 1."""

    values: dict[str, Any]
    lines: dict[tuple[str, ...], int]


def parse(text: str, name: str) -> ParsedYaml:
    """Read a YAML document whose keys are all strings.

    Raises:
        ConfigError: the document is empty, not YAML, not a mapping, or has a duplicate key; the
            message names the line.
    """
    try:
        return _parsed(text, name)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{name}{where}: {exc.problem or exc.context}") from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise ConfigError(f"{name}: it is not YAML: {exc}") from exc


def scalar(text: str) -> object:
    """Read a value as in a file.

    Raises:
        ConfigError: the value is not YAML; the message does not repeat it, as it may be a secret.
    """
    try:
        found, twice = _composed(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(
            "the value is not YAML", hint="put it in double quotes, inside the quotes of the shell"
        ) from None
    if twice is not None:
        raise ConfigError("a key stands twice in the value", hint="keep one of the two")
    return found


def _composed(text: str) -> tuple[object, yaml.ScalarNode | None]:
    """Return one value, and a duplicate key in it."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _refuse_many_values(node)
        return loader.construct_document(node), _duplicate_key(node)
    finally:
        loader.dispose()


def _parsed(text: str, name: str) -> ParsedYaml:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(
                f"{name} is empty", hint="move it away, then `replicator init` writes a first one"
            )
        if not isinstance(node, yaml.MappingNode):
            raise _refused(node, "a mapping of keys to values is expected here")
        _refuse_many_values(node)
        lines: dict[tuple[str, ...], int] = {}
        return ParsedYaml(_mapping(loader, node, (), lines), lines)
    finally:
        loader.dispose()


def _mapping(
    loader: yaml.SafeLoader,
    node: yaml.MappingNode,
    above: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
) -> dict[str, Any]:
    if len(above) >= DEPTH_MAX:
        raise _refused(node, "this is nested too deeply")
    if node.tag != "tag:yaml.org,2002:map":
        raise _refused(node, f"the tag {node.tag} has no meaning here")
    own = {id(key) for key, _ in node.value}
    loader.flatten_mapping(node)
    found: dict[str, Any] = {}
    stated: set[str] = set()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _refused(key_node, f"the key {key!r} is not a text; put it in quotes")
        if id(key_node) in own:
            if key in stated:
                raise _refused(key_node, f"the key {key!r} stands here for the second time")
            stated.add(key)
        place = (*above, key)
        lines[place] = key_node.start_mark.line + 1
        if isinstance(value_node, yaml.MappingNode):
            found[key] = _mapping(loader, value_node, place, lines)
        else:
            found[key] = _value(loader, value_node)
    return found


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if (twice := _duplicate_key(node)) is not None:
        raise _refused(twice, f"the key {twice.value!r} stands here for the second time")
    return cast(object, loader.construct_object(node, deep=True))


def _refuse_many_values(node: yaml.Node) -> None:
    """Refuse a document that becomes very long once each alias stands for its values."""
    if _values(node, {}) > VALUES_MAX:
        raise _refused(node, f"its aliases make more than {VALUES_MAX} values of it")


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Return how many values a node becomes; what contains itself is refused by its depth."""
    if id(node) not in known:
        known[id(node)] = 1
        if isinstance(node, yaml.SequenceNode):
            known[id(node)] += sum(_values(one, known) for one in node.value)
        elif isinstance(node, yaml.MappingNode):
            known[id(node)] += sum(_values(one, known) for pair in node.value for one in pair)
    return known[id(node)]


def _duplicate_key(node: yaml.Node) -> yaml.ScalarNode | None:
    """Return the second of two equal keys of a mapping, anywhere in a value."""
    open_nodes, seen = [node], set[int]()
    while open_nodes:
        one = open_nodes.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, yaml.SequenceNode):
            open_nodes += one.value
        elif isinstance(one, yaml.MappingNode):
            stated = set[str]()
            for key, value in one.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in stated:
                        return key
                    stated.add(key.value)
                open_nodes.append(value)
    return None


def _refused(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
