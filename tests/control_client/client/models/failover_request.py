from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="FailoverRequest")



@_attrs_define
class FailoverRequest:
    """ Make a target the primary as it is; its source is gone.

        Attributes:
            target (str):
            supervisors (list[str] | Unset):
            verb (Literal['failover'] | Unset):  Default: 'failover'.
     """

    target: str
    supervisors: list[str] | Unset = UNSET
    verb: Literal['failover'] | Unset = 'failover'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        supervisors: list[str] | Unset = UNSET
        if not isinstance(self.supervisors, Unset):
            supervisors = self.supervisors



        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if supervisors is not UNSET:
            field_dict["supervisors"] = supervisors
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        supervisors = cast(list[str], d.pop("supervisors", UNSET))


        verb = cast(Literal['failover'] | Unset , d.pop("verb", UNSET))
        if verb != 'failover'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'failover', got '{verb}'")

        failover_request = cls(
            target=target,
            supervisors=supervisors,
            verb=verb,
        )

        return failover_request

