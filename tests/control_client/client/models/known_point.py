from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="KnownPoint")



@_attrs_define
class KnownPoint:
    """ A named point of a store.

        Attributes:
            created_at (datetime.datetime):
            cut (int):
            expired (bool):
            name (str):
            offset (int):
            source_time (datetime.datetime):
     """

    created_at: datetime.datetime
    cut: int
    expired: bool
    name: str
    offset: int
    source_time: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        created_at = self.created_at.isoformat()

        cut = self.cut

        expired = self.expired

        name = self.name

        offset = self.offset

        source_time = self.source_time.isoformat()


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "created_at": created_at,
            "cut": cut,
            "expired": expired,
            "name": name,
            "offset": offset,
            "source_time": source_time,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        cut = d.pop("cut")

        expired = d.pop("expired")

        name = d.pop("name")

        offset = d.pop("offset")

        source_time = datetime.datetime.fromisoformat(d.pop("source_time"))




        known_point = cls(
            created_at=created_at,
            cut=cut,
            expired=expired,
            name=name,
            offset=offset,
            source_time=source_time,
        )


        known_point.additional_properties = d
        return known_point

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
