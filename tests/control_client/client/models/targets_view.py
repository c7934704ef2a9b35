from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.target_view import TargetView





T = TypeVar("T", bound="TargetsView")



@_attrs_define
class TargetsView:
    """ All configured targets that the principal may access.

        Attributes:
            targets (list[TargetView]):
     """

    targets: list[TargetView]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.target_view import TargetView # noqa: PLC0415
        targets = []
        for targets_item_data in self.targets:
            targets_item = targets_item_data.to_dict()
            targets.append(targets_item)




        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "targets": targets,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_view import TargetView # noqa: PLC0415
        d = dict(src_dict)
        targets = []
        _targets = d.pop("targets")
        for targets_item_data in (_targets):
            targets_item = TargetView.from_dict(targets_item_data)



            targets.append(targets_item)


        targets_view = cls(
            targets=targets,
        )


        targets_view.additional_properties = d
        return targets_view

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
