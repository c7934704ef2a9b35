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
  from ..models.status_view_result import StatusViewResult





T = TypeVar("T", bound="StatusView")



@_attrs_define
class StatusView:
    """ The document of `status --json`, as last seen by the service, at no cost.

        Attributes:
            generated_at (datetime.datetime):
            result (StatusViewResult):
            command (str | Unset):  Default: 'status'.
            schema (str | Unset):  Default: 'replicator.v1'.
     """

    generated_at: datetime.datetime
    result: StatusViewResult
    command: str | Unset = 'status'
    schema: str | Unset = 'replicator.v1'
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.status_view_result import StatusViewResult # noqa: PLC0415
        generated_at = self.generated_at.isoformat()

        result = self.result.to_dict()

        command = self.command

        schema = self.schema


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "generated_at": generated_at,
            "result": result,
        })
        if command is not UNSET:
            field_dict["command"] = command
        if schema is not UNSET:
            field_dict["schema"] = schema

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.status_view_result import StatusViewResult # noqa: PLC0415
        d = dict(src_dict)
        generated_at = datetime.datetime.fromisoformat(d.pop("generated_at"))




        result = StatusViewResult.from_dict(d.pop("result"))




        command = d.pop("command", UNSET)

        schema = d.pop("schema", UNSET)

        status_view = cls(
            generated_at=generated_at,
            result=result,
            command=command,
            schema=schema,
        )


        status_view.additional_properties = d
        return status_view

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
