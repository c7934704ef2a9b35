"""The keys that exist, so that the error for a wrong key names the nearest right one."""

import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from replicator.config.settings import Settings

CUTOFF = 0.6
"""Similarity below which a key is another word and not a typing mistake."""


def known_keys(above: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
    """Return the keys that are valid below a key, in their order."""
    model: Any = Settings
    at: Any = values
    for step in above:
        at = at.get(step) if isinstance(at, Mapping) else None
        model = _below(model, step, at)
    return list(_names(model))


def nearest(key: tuple[str, ...], values: Mapping[str, Any]) -> str | None:
    """Return the valid key that is most similar to this one, dotted; None if none is."""
    above, name = key[:-1], key[-1]
    close = get_close_matches(name, known_keys(above, values), n=1, cutoff=CUTOFF)
    if close:
        return ".".join((*above, close[0]))
    return next((k for k in all_keys() if k.rpartition(".")[2] == name), None)


def all_keys() -> Iterator[str]:
    """Yield every dotted key, with `<name>` for names that the operator chooses."""
    yield from _all(Settings, ())


def _all(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[str]:
    for name, field in _names(model).items():
        key = (*above, name)
        yield ".".join(key)
        for below in _models(field.annotation):
            named = get_origin(field.annotation) is not None and _is_mapping(field.annotation)
            yield from _all(below, (*key, "<name>") if named else key)


def _below(model: Any, step: str, value: Any) -> Any:
    """Return the model, or the mapping's annotation, one step further; None if there is none."""
    if _is_mapping(model):
        annotation = get_args(model)[1]
    elif step in (names := _names(model)):
        annotation = names[step].annotation
    else:
        return None
    if _is_mapping(annotation):
        return annotation
    models = _models(annotation)
    tag = value.get("type") if isinstance(value, Mapping) else None
    return next((m for m in models if tag in _tags(m)), models[0] if models else None)


def _names(model: Any) -> dict[str, FieldInfo]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {Union, types.UnionType, Annotated} or _is_mapping(annotation):
        return [model for part in get_args(annotation) for model in _models(part)]
    return []


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    annotation = field.annotation if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is Mapping
