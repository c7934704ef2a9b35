"""Receipts as JSON: beside the bytes in every deep storage, read again by later releases."""

from collections.abc import Mapping
from typing import Any

from replicator.ports import Checked, Receipt, StoredObject


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as what JSON can hold."""
    found: dict[str, Any] = {
        "objects": [_checked(one) for one in receipt.objects],
        "copied_from": [
            {"name": one.name, "size_bytes": one.size_bytes, "tag": one.tag}
            for one in receipt.copied_from
        ],
    }
    if receipt.packed:
        found["packed"] = [_checked(one) for one in receipt.packed]
    return found


def receipt_of(found: Mapping[str, Any]) -> Receipt:
    """Return the receipt that `receipt_json` wrote.

    Raises:
        KeyError, TypeError: it is not one.
    """
    return Receipt(
        objects=tuple(Checked(**stored) for stored in found["objects"]),
        copied_from=tuple(StoredObject(**stored) for stored in found["copied_from"]),
        packed=tuple(Checked(**stored) for stored in found.get("packed", ())),
    )


def _checked(one: Checked) -> dict[str, Any]:
    return {"name": one.name, "size_bytes": one.size_bytes, "sha256": one.sha256}
