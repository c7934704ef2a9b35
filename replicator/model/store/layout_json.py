"""Layouts as JSON: where load specs of a store's history lead, and where the store keeps bytes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from replicator.model.document import Shape
from replicator.model.load_spec import (
    AzureLayout,
    GoogleLayout,
    HdfsLayout,
    Layout,
    LocalLayout,
    S3Layout,
    SourceLayout,
)

_TYPES: Mapping[str, type[LocalLayout | S3Layout | GoogleLayout | AzureLayout | HdfsLayout]] = {
    "local": LocalLayout,
    "s3": S3Layout,
    "google": GoogleLayout,
    "azure": AzureLayout,
    "hdfs": HdfsLayout,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}


def layout_json(layout: Layout) -> Mapping[str, Any]:
    """Return one storage's layout as a JSON object.

    Raises:
        TypeError: it is no layout of a single storage.
    """
    for kind, name in _NAMES.items():
        if isinstance(layout, kind):
            return {"type": name, **_plain(layout)}
    raise TypeError(f"{type(layout).__name__} is no layout of one storage")


def _plain(
    layout: LocalLayout | S3Layout | GoogleLayout | AzureLayout | HdfsLayout,
) -> dict[str, Any]:
    """Return a layout's fields; newer ones are omitted where they change nothing.

    So an older release can read the store of a newer one.
    """
    fields = asdict(layout)
    if isinstance(layout, GoogleLayout | AzureLayout) and layout.packed:
        del fields["packed"]
    return fields


_SHAPES: Mapping[str, Shape[Layout]] = {
    name: Shape(kind, "", closed=True) for name, kind in _TYPES.items()
}


def layout_of(found: object) -> Layout:
    """Return the layout of a JSON object from `layout_json`.

    Unknown members are refused: one may mean that locations are written differently.

    Raises:
        ValueError: `layout_json` did not write this.
    """
    fields = dict(found) if isinstance(found, dict) else {}
    type_ = fields.pop("type", None)
    if not isinstance(type_, str) or type_ not in _TYPES:
        raise ValueError("it is no layout that this release knows")
    return _SHAPES[type_].checked(fields)


def source_layout_json(layout: SourceLayout) -> Mapping[str, Any]:
    """Return the layouts of all of a source's storages as a JSON object."""
    others = {name: layout_json(one) for name, one in layout.others.items()}
    return {"main": layout_json(layout.main), "others": others}


@dataclass(frozen=True, slots=True, kw_only=True)
class _LayoutDocument:
    """Layouts of all of a source's storages, not yet decoded."""

    main: Mapping[str, object]
    others: Mapping[str, Mapping[str, object]]


_STORAGES = Shape(_LayoutDocument, "")


def source_layout_of(found: object) -> SourceLayout:
    """Return the layouts that `source_layout_json` gave.

    Raises:
        ValueError: `source_layout_json` did not write this.
    """
    storages = _STORAGES.checked(found if isinstance(found, dict) else {})
    others = {name: layout_of(one) for name, one in storages.others.items()}
    return SourceLayout(main=layout_of(storages.main), others=others)
