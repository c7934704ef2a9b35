from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset






T = TypeVar("T", bound="WaitQuery")



@_attrs_define
class WaitQuery:
    """ How long an answer may wait for the end of its job.

        Attributes:
            wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
     """

    wait: float | Unset = 0.0





    def to_dict(self) -> dict[str, Any]:
        wait = self.wait


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if wait is not UNSET:
            field_dict["wait"] = wait

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        wait = d.pop("wait", UNSET)

        wait_query = cls(
            wait=wait,
        )

        return wait_query

