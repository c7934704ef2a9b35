from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.cut_place import CutPlace





T = TypeVar("T", bound="WindowSpan")



@_attrs_define
class WindowSpan:
    """ A store restores each cut between these two by itself.

        Attributes:
            first (CutPlace): A cut and where it is in the log.
            last (CutPlace): A cut and where it is in the log.
     """

    first: CutPlace
    last: CutPlace
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.cut_place import CutPlace # noqa: PLC0415
        first = self.first.to_dict()

        last = self.last.to_dict()


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "first": first,
            "last": last,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.cut_place import CutPlace # noqa: PLC0415
        d = dict(src_dict)
        first = CutPlace.from_dict(d.pop("first"))




        last = CutPlace.from_dict(d.pop("last"))




        window_span = cls(
            first=first,
            last=last,
        )


        window_span.additional_properties = d
        return window_span

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
