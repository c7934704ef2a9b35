"""Receipts as JSON documents, stored in every deep storage and read again by later releases."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from replicator.model.document import Shape
from replicator.ports import Checked, Receipt, StoredObject

HINT = "remove the receipt and the bytes of this location: they are copied again"
FORMAT = 1
WITHOUT_CHECKSUM = 2
"""Format of a receipt that leaves the checksum to the storage's service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDocument:
    """A receipt as it is stored, with its location."""

    location: str
    objects: Annotated[tuple[Checked, ...], Field(min_length=1)]
    copied_from: tuple[StoredObject, ...]
    packed: tuple[Checked, ...] = ()

    def receipt(self) -> Receipt:
        """Return the receipt."""
        return Receipt(objects=self.objects, copied_from=self.copied_from, packed=self.packed)


RECEIPT = Shape(ReceiptDocument, HINT, formats=frozenset({FORMAT, WITHOUT_CHECKSUM}))


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as a JSON object."""
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


def _checked(one: Checked) -> dict[str, Any]:
    return {"name": one.name, "size_bytes": one.size_bytes, "sha256": one.sha256}
