from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="PointsQuery")



@_attrs_define
class PointsQuery:
    """ Selects the listed cuts: the newest, or those before an offset.

        Attributes:
            all_ (bool | Unset): Include cuts without a change. Default: False.
            before (int | None | Unset): `earlier` of the previous answer.
            limit (int | Unset):  Default: 20.
     """

    all_: bool | Unset = False
    before: int | None | Unset = UNSET
    limit: int | Unset = 20





    def to_dict(self) -> dict[str, Any]:
        all_ = self.all_

        before: int | None | Unset
        if isinstance(self.before, Unset):
            before = UNSET
        else:
            before = self.before

        limit = self.limit


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if all_ is not UNSET:
            field_dict["all"] = all_
        if before is not UNSET:
            field_dict["before"] = before
        if limit is not UNSET:
            field_dict["limit"] = limit

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        all_ = d.pop("all", UNSET)

        def _parse_before(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        before = _parse_before(d.pop("before", UNSET))


        limit = d.pop("limit", UNSET)

        points_query = cls(
            all_=all_,
            before=before,
            limit=limit,
        )

        return points_query

