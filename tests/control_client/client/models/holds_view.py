from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.holds_report import HoldsReport
  from ..models.holds_view_looked_at import HoldsViewLookedAt





T = TypeVar("T", bound="HoldsView")



@_attrs_define
class HoldsView:
    """ The document of `hold list --json`.

        Attributes:
            generated_at (datetime.datetime):
            looked_at (HoldsViewLookedAt): Time of the last reading of each target's store.
            result (HoldsReport): The holds of some targets, those that have ended as well.
            command (str | Unset):  Default: 'hold list'.
            schema (str | Unset):  Default: 'replicator.v1'.
     """

    generated_at: datetime.datetime
    looked_at: HoldsViewLookedAt
    result: HoldsReport
    command: str | Unset = 'hold list'
    schema: str | Unset = 'replicator.v1'
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.holds_report import HoldsReport # noqa: PLC0415
        from ..models.holds_view_looked_at import HoldsViewLookedAt # noqa: PLC0415
        generated_at = self.generated_at.isoformat()

        looked_at = self.looked_at.to_dict()

        result = self.result.to_dict()

        command = self.command

        schema = self.schema


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "generated_at": generated_at,
            "looked_at": looked_at,
            "result": result,
        })
        if command is not UNSET:
            field_dict["command"] = command
        if schema is not UNSET:
            field_dict["schema"] = schema

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.holds_report import HoldsReport # noqa: PLC0415
        from ..models.holds_view_looked_at import HoldsViewLookedAt # noqa: PLC0415
        d = dict(src_dict)
        generated_at = datetime.datetime.fromisoformat(d.pop("generated_at"))




        looked_at = HoldsViewLookedAt.from_dict(d.pop("looked_at"))




        result = HoldsReport.from_dict(d.pop("result"))




        command = d.pop("command", UNSET)

        schema = d.pop("schema", UNSET)

        holds_view = cls(
            generated_at=generated_at,
            looked_at=looked_at,
            result=result,
            command=command,
            schema=schema,
        )


        holds_view.additional_properties = d
        return holds_view

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
