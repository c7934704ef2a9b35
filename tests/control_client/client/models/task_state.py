from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.task_state_status import TaskStateStatus
from ..models.task_state_statuscode import TaskStateStatuscode
from typing import cast






T = TypeVar("T", bound="TaskState")



@_attrs_define
class TaskState:
    """ A task's state in Druid's spelling.

        Attributes:
            error_msg (None | str):
            id (str):
            status (TaskStateStatus):
            status_code (TaskStateStatuscode):
     """

    error_msg: None | str
    id: str
    status: TaskStateStatus
    status_code: TaskStateStatuscode
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        error_msg: None | str
        error_msg = self.error_msg

        id = self.id

        status = self.status.value

        status_code = self.status_code.value


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "errorMsg": error_msg,
            "id": id,
            "status": status,
            "statusCode": status_code,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        def _parse_error_msg(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        error_msg = _parse_error_msg(d.pop("errorMsg"))


        id = d.pop("id")

        status = TaskStateStatus(d.pop("status"))




        status_code = TaskStateStatuscode(d.pop("statusCode"))




        task_state = cls(
            error_msg=error_msg,
            id=id,
            status=status,
            status_code=status_code,
        )


        task_state.additional_properties = d
        return task_state

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
