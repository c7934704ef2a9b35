"""The file of a planned restore: its options, and the state of the world it was planned for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Annotated, Any, TypeVar

import orjson

from replicator.errors import ConfigError
from replicator.model.checkpoint import Checkpoint
from replicator.model.document import NATURAL, Shape, parsed
from replicator.model.event import Offset
from replicator.model.fingerprint import hex_digest

SCHEMA = "replicator.plan.v1"
DIGEST = "digest"
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Options of a planned restore; its restore point has become a cut."""

    target: str
    into: str
    from_store: bool
    log_id: str | None
    by_reference: bool
    without_witness: bool
    """Whether the operator left out the store's witness."""
    datasource: str | None
    adopt: bool
    accept_gaps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """State that a plan relies on, and that must not have changed when it is carried out."""

    log_id: str
    cut_offset: Annotated[Offset, NATURAL]
    cut_digest: str
    checkpoint: str | None
    """Checkpoint of the target: log, digest, whether it is paused, and its datasource."""
    rows: str
    """Digest of the target's rows, or of those of the restored datasource."""
    storages: Mapping[str, str]
    """Digest of each storage's settings: bytes must be read and stored where the plan says."""

    def changes(self, now: "World") -> list[str]:
        """Return a message for each part that has changed."""
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

    options: PlanOptions
    world: World


def checkpoint_text(checkpoint: Checkpoint | None) -> str | None:
    """Return a text that is equal for checkpoints between which a plan makes no difference.

    It lacks the offset: a target that follows an idle source moves from cut to cut, and its rows
    stay the same.
    """
    if checkpoint is None:
        return None
    what = "paused" if checkpoint.paused else "following"
    digest = hex_digest(checkpoint.digest)
    only = checkpoint.datasource or "all"
    return f"{checkpoint.log_id} {digest} {what} {only}"


_OPTIONS, _WORLD = Shape(PlanOptions, "", closed=True), Shape(World, "", closed=True)


def plan_document(plan: PlanFile, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a plan's file; `shown` is its part for the operator.

    It ends with a digest of everything else in it, `shown` included, so that a plan which was
    edited after an operator had read it is not carried out.
    """
    found = {"schema": SCHEMA, **shown, "asked": asdict(plan.options), "world": asdict(plan.world)}
    return {**found, DIGEST: _digest(orjson.loads(orjson.dumps(found)))}


def plan_of(data: bytes, path: str) -> PlanFile:
    """Return the plan in a file; `path` names the file in error messages.

    Raises:
        ConfigError: the file is not a plan, is of another release, or was altered.
    """
    try:
        found = parsed(data, None)
    except ValueError as exc:
        raise _no_plan(path, str(exc)) from exc
    if "schema" not in found:
        raise _no_plan(path, "`schema` is missing")
    if found["schema"] != SCHEMA:
        raise ConfigError(
            f"the plan {path} is of schema {found['schema']!r}, this release: {SCHEMA}"
        )
    plan = PlanFile(
        options=_part(found, "asked", _OPTIONS, path), world=_part(found, "world", _WORLD, path)
    )
    stated = found.pop(DIGEST, None)
    if stated != _digest(found):
        raise _no_plan(path, "it was edited: its digest is another")
    return plan


def _digest(found: Mapping[str, Any]) -> str:
    """Return the digest of a plan's JSON, which does not depend on the order of its members."""
    return sha256(orjson.dumps(found, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _part(document: Mapping[str, Any], name: str, shape: Shape[_Part], path: str) -> _Part:
    """Return one part of the document, whose members must all exist and have the right types."""
    found = document.get(name)
    if not isinstance(found, dict):
        raise _no_plan(path, f"`{name}` is {'wrong' if name in document else 'missing'}")
    try:
        return shape.checked(found)
    except ValueError as exc:
        raise _no_plan(path, f"`{name}`: {exc}") from exc


def _no_plan(path: str, why: str) -> ConfigError:
    return ConfigError(
        f"{path} is no plan that `restore plan` wrote: {why}",
        hint="make it again with `replicator restore plan`",
    )
