from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="DrillsRequest")



@_attrs_define
class DrillsRequest:
    """ The evidence of earlier drills.

        Attributes:
            limit (int | Unset):  Default: 20.
            target (None | str | Unset):
            verb (Literal['drill list'] | Unset):  Default: 'drill list'.
     """

    limit: int | Unset = 20
    target: None | str | Unset = UNSET
    verb: Literal['drill list'] | Unset = 'drill list'





    def to_dict(self) -> dict[str, Any]:
        limit = self.limit

        target: None | str | Unset
        if isinstance(self.target, Unset):
            target = UNSET
        else:
            target = self.target

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if limit is not UNSET:
            field_dict["limit"] = limit
        if target is not UNSET:
            field_dict["target"] = target
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        limit = d.pop("limit", UNSET)

        def _parse_target(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        target = _parse_target(d.pop("target", UNSET))


        verb = cast(Literal['drill list'] | Unset , d.pop("verb", UNSET))
        if verb != 'drill list'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'drill list', got '{verb}'")

        drills_request = cls(
            limit=limit,
            target=target,
            verb=verb,
        )

        return drills_request

