from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="RunPlanRequest")



@_attrs_define
class RunPlanRequest:
    """ Names the plan to carry out.

        Attributes:
            digest (str):
     """

    digest: str





    def to_dict(self) -> dict[str, Any]:
        digest = self.digest


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "digest": digest,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        digest = d.pop("digest")

        run_plan_request = cls(
            digest=digest,
        )

        return run_plan_request

