from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.task_state import TaskState





T = TypeVar("T", bound="TaskStatusView")



@_attrs_define
class TaskStatusView:
    """ The status of one task.

        Attributes:
            status (TaskState): A task's state in Druid's spelling.
            task (str):
     """

    status: TaskState
    task: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.task_state import TaskState # noqa: PLC0415
        status = self.status.to_dict()

        task = self.task


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "status": status,
            "task": task,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.task_state import TaskState # noqa: PLC0415
        d = dict(src_dict)
        status = TaskState.from_dict(d.pop("status"))




        task = d.pop("task")

        task_status_view = cls(
            status=status,
            task=task,
        )


        task_status_view.additional_properties = d
        return task_status_view

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
