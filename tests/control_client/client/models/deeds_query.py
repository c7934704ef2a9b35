from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset






T = TypeVar("T", bound="DeedsQuery")



@_attrs_define
class DeedsQuery:
    """ Selects the number of lines.

        Attributes:
            limit (int | Unset):  Default: 100.
     """

    limit: int | Unset = 100





    def to_dict(self) -> dict[str, Any]:
        limit = self.limit


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if limit is not UNSET:
            field_dict["limit"] = limit

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        limit = d.pop("limit", UNSET)

        deeds_query = cls(
            limit=limit,
        )

        return deeds_query

