from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="ApplyRequest")



@_attrs_define
class ApplyRequest:
    """ Bring a target to the source's present state; a running applier does that already.

        Attributes:
            target (str):
            timeout_s (float | Unset):  Default: 3600.0.
            verb (Literal['apply'] | Unset):  Default: 'apply'.
     """

    target: str
    timeout_s: float | Unset = 3600.0
    verb: Literal['apply'] | Unset = 'apply'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        timeout_s = self.timeout_s

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if timeout_s is not UNSET:
            field_dict["timeout_s"] = timeout_s
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        timeout_s = d.pop("timeout_s", UNSET)

        verb = cast(Literal['apply'] | Unset , d.pop("verb", UNSET))
        if verb != 'apply'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'apply', got '{verb}'")

        apply_request = cls(
            target=target,
            timeout_s=timeout_s,
            verb=verb,
        )

        return apply_request

