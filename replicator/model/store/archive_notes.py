"""Documents beside a store's history: its source, and the target's gaps in it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import Field, PlainValidator

from replicator.model.checkpoint import Gap
from replicator.model.document import Name, Shape, written
from replicator.model.load_spec import Layout, SourceLayout
from replicator.model.store.archive import FORMAT, HINT
from replicator.model.store.layout_json import (
    layout_json,
    layout_of,
    source_layout_json,
    source_layout_of,
)

GAPS, ABOUT = "gaps", "about"


def gaps_name(log_id: str) -> str:
    """Return the name of the file with a target's gaps in the cuts of a log."""
    return f"{GAPS}/{log_id}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """How a target's rows are written."""

    layout: Layout
    """How its storage writes load specs."""
    control: str
    """The settings by which its control rows are mapped, as `control_form` says them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Facts that a history's records do not contain: the meaning of load specs, here and there."""

    source: str
    log_id: Name
    source_layout: Annotated[
        SourceLayout, Field(validation_alias="origin"), PlainValidator(source_layout_of)
    ]
    """Layouts of the source's storages."""
    target_layout: Annotated[Layout, Field(validation_alias="kept"), PlainValidator(layout_of)]
    """Layout of the storage of this store."""
    control_form: str | None = None
    """The settings by which the target's control rows were mapped; None: an earlier build wrote it.
    """

    def writes_like(self, former: "About") -> bool:
        """Return whether rows that were written then are those that are written now."""
        is_same = former.control_form in {None, self.control_form}
        return is_same and former.target_layout == self.target_layout


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gaps:
    """A target's gaps in the cuts of one log."""

    gaps: tuple[Gap, ...]


_ABOUT, _GAPS = Shape(About, HINT), Shape(_Gaps, HINT, is_list=True)


def about_name(log_id: str) -> str:
    """Return the name of the file about a history's source."""
    return f"{ABOUT}/{log_id}.json"


def about_json(about: About) -> bytes:
    """Return what a history is about as a document."""
    found = {
        "format": FORMAT,
        "source": about.source,
        "log_id": about.log_id,
        "origin": source_layout_json(about.source_layout),
        "kept": layout_json(about.target_layout),
    }
    if about.control_form is not None:
        found["control_form"] = about.control_form
    return orjson.dumps(found, option=orjson.OPT_INDENT_2)


def about_of(name: str, data: bytes) -> About:
    """Return what a history is about.

    Raises:
        CorruptionError: it cannot be read.
    """
    about = _ABOUT.read(name, data)
    if name != about_name(about.log_id):
        raise _ABOUT.unreadable(name, f"it is about {about.log_id!r}")
    return about


def gap_json(gap: Gap) -> Mapping[str, Any]:
    """Return a gap as a JSON object."""
    return {
        "kind": gap.kind.value,
        "key": gap.key,
        "datasource": gap.datasource,
        "reason": gap.reason,
        "detail": gap.detail,
        "opened": gap.opened,
        "closed": gap.closed,
    }


def gaps_json(gaps: Iterable[Gap]) -> bytes:
    """Return gaps as a document."""
    return written({"gaps": [gap_json(gap) for gap in gaps]}, FORMAT)


def gaps_of(name: str, data: bytes) -> tuple[Gap, ...]:
    """Return the gaps that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _GAPS.read(name, data).gaps
