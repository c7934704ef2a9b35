from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="PointsRequest")



@_attrs_define
class PointsRequest:
    """ Everything that `points` shows, also for a store alone; `/v1/points` costs nothing.

        Attributes:
            all_cuts (bool | Unset):  Default: False.
            from_store (None | str | Unset):
            limit (int | Unset):  Default: 20.
            log_id (None | str | Unset):
            verb (Literal['points'] | Unset):  Default: 'points'.
     """

    all_cuts: bool | Unset = False
    from_store: None | str | Unset = UNSET
    limit: int | Unset = 20
    log_id: None | str | Unset = UNSET
    verb: Literal['points'] | Unset = 'points'





    def to_dict(self) -> dict[str, Any]:
        all_cuts = self.all_cuts

        from_store: None | str | Unset
        if isinstance(self.from_store, Unset):
            from_store = UNSET
        else:
            from_store = self.from_store

        limit = self.limit

        log_id: None | str | Unset
        if isinstance(self.log_id, Unset):
            log_id = UNSET
        else:
            log_id = self.log_id

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if all_cuts is not UNSET:
            field_dict["all_cuts"] = all_cuts
        if from_store is not UNSET:
            field_dict["from_store"] = from_store
        if limit is not UNSET:
            field_dict["limit"] = limit
        if log_id is not UNSET:
            field_dict["log_id"] = log_id
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        all_cuts = d.pop("all_cuts", UNSET)

        def _parse_from_store(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        from_store = _parse_from_store(d.pop("from_store", UNSET))


        limit = d.pop("limit", UNSET)

        def _parse_log_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        log_id = _parse_log_id(d.pop("log_id", UNSET))


        verb = cast(Literal['points'] | Unset , d.pop("verb", UNSET))
        if verb != 'points'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'points', got '{verb}'")

        points_request = cls(
            all_cuts=all_cuts,
            from_store=from_store,
            limit=limit,
            log_id=log_id,
            verb=verb,
        )

        return points_request

