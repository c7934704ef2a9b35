"""Receipts as JSON: beside the bytes in every deep storage, read again by later releases."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from replicator.ports import Checked, Receipt, StoredObject


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as what JSON can hold."""
    found = asdict(receipt)
    return found if receipt.packed else {k: v for k, v in found.items() if k != "packed"}


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
