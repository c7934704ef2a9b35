from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset






T = TypeVar("T", bound="SubmitQuery")



@_attrs_define
class SubmitQuery:
    """ How a job is taken on.

        Attributes:
            columns (int | Unset): Width of the terminal that its text is for. Default: 120.
            wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
     """

    columns: int | Unset = 120
    wait: float | Unset = 0.0





    def to_dict(self) -> dict[str, Any]:
        columns = self.columns

        wait = self.wait


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if columns is not UNSET:
            field_dict["columns"] = columns
        if wait is not UNSET:
            field_dict["wait"] = wait

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        columns = d.pop("columns", UNSET)

        wait = d.pop("wait", UNSET)

        submit_query = cls(
            columns=columns,
            wait=wait,
        )

        return submit_query

