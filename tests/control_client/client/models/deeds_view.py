from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.deeds_view_deeds_item import DeedsViewDeedsItem





T = TypeVar("T", bound="DeedsView")



@_attrs_define
class DeedsView:
    """ The newest lines of the audit log, newest first.

        Attributes:
            deeds (list[DeedsViewDeedsItem]):
     """

    deeds: list[DeedsViewDeedsItem]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.deeds_view_deeds_item import DeedsViewDeedsItem # noqa: PLC0415
        deeds = []
        for deeds_item_data in self.deeds:
            deeds_item = deeds_item_data.to_dict()
            deeds.append(deeds_item)




        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "deeds": deeds,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.deeds_view_deeds_item import DeedsViewDeedsItem # noqa: PLC0415
        d = dict(src_dict)
        deeds = []
        _deeds = d.pop("deeds")
        for deeds_item_data in (_deeds):
            deeds_item = DeedsViewDeedsItem.from_dict(deeds_item_data)



            deeds.append(deeds_item)


        deeds_view = cls(
            deeds=deeds,
        )


        deeds_view.additional_properties = d
        return deeds_view

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
