from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="KnownGap")



@_attrs_define
class KnownGap:
    """ A row that a target lacks from one offset to another.

        Attributes:
            datasource (str):
            detail (str):
            from_offset (int):
            kind (str): What kind of row it is; the key alone can be that of several.
            reason (str):
            row (str):
            to_offset (int | None): Null: it still lacks it.
     """

    datasource: str
    detail: str
    from_offset: int
    kind: str
    reason: str
    row: str
    to_offset: int | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        datasource = self.datasource

        detail = self.detail

        from_offset = self.from_offset

        kind = self.kind

        reason = self.reason

        row = self.row

        to_offset: int | None
        to_offset = self.to_offset


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "datasource": datasource,
            "detail": detail,
            "from_offset": from_offset,
            "kind": kind,
            "reason": reason,
            "row": row,
            "to_offset": to_offset,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        datasource = d.pop("datasource")

        detail = d.pop("detail")

        from_offset = d.pop("from_offset")

        kind = d.pop("kind")

        reason = d.pop("reason")

        row = d.pop("row")

        def _parse_to_offset(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        to_offset = _parse_to_offset(d.pop("to_offset"))


        known_gap = cls(
            datasource=datasource,
            detail=detail,
            from_offset=from_offset,
            kind=kind,
            reason=reason,
            row=row,
            to_offset=to_offset,
        )


        known_gap.additional_properties = d
        return known_gap

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
