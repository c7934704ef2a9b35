from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="CutPlace")



@_attrs_define
class CutPlace:
    """ A cut and where it is in the log.

        Attributes:
            cut (int):
            offset (int):
            source_time (datetime.datetime):
     """

    cut: int
    offset: int
    source_time: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        cut = self.cut

        offset = self.offset

        source_time = self.source_time.isoformat()


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "cut": cut,
            "offset": offset,
            "source_time": source_time,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        cut = d.pop("cut")

        offset = d.pop("offset")

        source_time = datetime.datetime.fromisoformat(d.pop("source_time"))




        cut_place = cls(
            cut=cut,
            offset=offset,
            source_time=source_time,
        )


        cut_place.additional_properties = d
        return cut_place

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
