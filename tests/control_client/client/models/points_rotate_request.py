from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="PointsRotateRequest")



@_attrs_define
class PointsRotateRequest:
    """ Name the newest cut in a target's store, and keep older points grandfather-father-son.

        Attributes:
            target (str):
            tiers (list[str]):
            prefix (str | Unset):  Default: 'auto'.
            time_zone (None | str | Unset):
            verb (Literal['points rotate'] | Unset):  Default: 'points rotate'.
     """

    target: str
    tiers: list[str]
    prefix: str | Unset = 'auto'
    time_zone: None | str | Unset = UNSET
    verb: Literal['points rotate'] | Unset = 'points rotate'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        tiers = self.tiers



        prefix = self.prefix

        time_zone: None | str | Unset
        if isinstance(self.time_zone, Unset):
            time_zone = UNSET
        else:
            time_zone = self.time_zone

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
            "tiers": tiers,
        })
        if prefix is not UNSET:
            field_dict["prefix"] = prefix
        if time_zone is not UNSET:
            field_dict["time_zone"] = time_zone
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        tiers = cast(list[str], d.pop("tiers"))


        prefix = d.pop("prefix", UNSET)

        def _parse_time_zone(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        time_zone = _parse_time_zone(d.pop("time_zone", UNSET))


        verb = cast(Literal['points rotate'] | Unset , d.pop("verb", UNSET))
        if verb != 'points rotate'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'points rotate', got '{verb}'")

        points_rotate_request = cls(
            target=target,
            tiers=tiers,
            prefix=prefix,
            time_zone=time_zone,
            verb=verb,
        )

        return points_rotate_request

