"""A restore as a file: what was asked for, and the world in which it was planned."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from replicator.errors import ConfigError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import Offset
from replicator.model.fingerprint import hex_digest

SCHEMA = "replicator.plan.v1"
_Part = TypeVar("_Part", "Asked", "World")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a restore was asked for, but for the point: that became a cut."""

    target: str
    into: str
    from_store: bool
    log_id: str | None
    by_reference: bool
    datasource: str | None
    adopt: bool
    accept_gaps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What must still be so when a plan is carried out."""

    log_id: str
    cut_offset: Offset
    cut_digest: str
    checkpoint: str | None
    """The target's: log, offset, digest, whether it stands and of which datasource."""
    rows: str
    """Digest of the target's rows of data, those of the datasource if there is one."""
    storages: Mapping[str, str]
    """A digest of each storage's settings: bytes must be found, and kept, where they were."""

    def changes(self, now: "World") -> list[str]:
        """Return in words what is not as it was."""
        words = {
            "log_id": "the log is another one",
            "cut_offset": "the cut is at another offset",
            "cut_digest": "the cut holds other rows",
            "checkpoint": "the target is at another cut",
            "rows": "the target's rows were changed",
            "storages": "the configuration of the storages was changed",
        }
        return [text for name, text in words.items() if getattr(self, name) != getattr(now, name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFile:
    """The part of a plan file that `restore run` needs."""

    asked: Asked
    world: World


def checkpoint_text(checkpoint: Checkpoint | None) -> str | None:
    """Return what makes two checkpoints the same."""
    if checkpoint is None:
        return None
    what = "paused" if checkpoint.paused else "following"
    digest = hex_digest(checkpoint.digest)
    only = checkpoint.datasource or "all"
    return f"{checkpoint.log_id} {checkpoint.offset} {digest} {what} {only}"


def plan_document(plan: PlanFile, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan as the document that is written; `shown` is for people."""
    return {"schema": SCHEMA, **shown, "asked": asdict(plan.asked), "world": asdict(plan.world)}


def plan_of(data: bytes, path: str) -> PlanFile:
    """Return the plan that a file holds; `path` names the file, for whoever looks.

    Raises:
        ConfigError: it is no plan, one of another release, or altered.
    """
    try:
        found = orjson.loads(data)
    except ValueError as exc:
        raise _no_plan(path, str(exc)) from exc
    if not isinstance(found, dict) or "schema" not in found:
        raise _no_plan(path, "`schema` is missing")
    if found["schema"] != SCHEMA:
        raise ConfigError(
            f"the plan {path} is of schema {found['schema']!r}, this release: {SCHEMA}"
        )
    return PlanFile(
        asked=_part(found, "asked", Asked, path), world=_part(found, "world", World, path)
    )


def _part(document: Mapping[str, Any], name: str, type_: type[_Part], path: str) -> _Part:
    """Return one of the two parts that are read, whose members must be there and of their types."""
    found = document.get(name)
    if not isinstance(found, dict):
        raise _no_plan(path, f"`{name}` is {'wrong' if name in document else 'missing'}")
    known = {one.name for one in fields(type_)}
    if unknown := sorted(found.keys() - known):
        raise _no_plan(path, f"`{name}.{unknown[0]}` is not known")
    try:
        return TypeAdapter(type_).validate_json(orjson.dumps(found), strict=True)
    except ValidationError as exc:
        first: ErrorDetails = exc.errors(include_url=False)[0]
        place = ".".join(map(str, (name, *first["loc"])))
        said = "missing" if first["type"].startswith("missing") else f"wrong: {first['msg']}"
        raise _no_plan(path, f"`{place}` is {said}") from exc


def _no_plan(path: str, why: str) -> ConfigError:
    return ConfigError(
        f"{path} is no plan that `restore plan` wrote: {why}",
        hint="make it again with `replicator restore plan`",
    )
