from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="HeldCut")



@_attrs_define
class HeldCut:
    """ A cut before the horizon that a hold keeps.

        Attributes:
            name (str):
            offset (int):
            reason (str):
            source_time (datetime.datetime):
     """

    name: str
    offset: int
    reason: str
    source_time: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        offset = self.offset

        reason = self.reason

        source_time = self.source_time.isoformat()


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "name": name,
            "offset": offset,
            "reason": reason,
            "source_time": source_time,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        offset = d.pop("offset")

        reason = d.pop("reason")

        source_time = datetime.datetime.fromisoformat(d.pop("source_time"))




        held_cut = cls(
            name=name,
            offset=offset,
            reason=reason,
            source_time=source_time,
        )


        held_cut.additional_properties = d
        return held_cut

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
