from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="PromoteRequest")



@_attrs_define
class PromoteRequest:
    """ Make a target the primary, without losing anything.

        Attributes:
            target (str):
            drain_timeout_s (float | Unset):  Default: 600.0.
            supervisors (list[str] | Unset):
            verb (Literal['promote'] | Unset):  Default: 'promote'.
     """

    target: str
    drain_timeout_s: float | Unset = 600.0
    supervisors: list[str] | Unset = UNSET
    verb: Literal['promote'] | Unset = 'promote'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        drain_timeout_s = self.drain_timeout_s

        supervisors: list[str] | Unset = UNSET
        if not isinstance(self.supervisors, Unset):
            supervisors = self.supervisors



        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if drain_timeout_s is not UNSET:
            field_dict["drain_timeout_s"] = drain_timeout_s
        if supervisors is not UNSET:
            field_dict["supervisors"] = supervisors
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        drain_timeout_s = d.pop("drain_timeout_s", UNSET)

        supervisors = cast(list[str], d.pop("supervisors", UNSET))


        verb = cast(Literal['promote'] | Unset , d.pop("verb", UNSET))
        if verb != 'promote'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'promote', got '{verb}'")

        promote_request = cls(
            target=target,
            drain_timeout_s=drain_timeout_s,
            supervisors=supervisors,
            verb=verb,
        )

        return promote_request

