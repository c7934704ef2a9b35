from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="LockRequest")



@_attrs_define
class LockRequest:
    """ Lock everything that a target's store must keep, for its retention from now.

        Attributes:
            target (str):
            verb (Literal['lock'] | Unset):  Default: 'lock'.
     """

    target: str
    verb: Literal['lock'] | Unset = 'lock'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        verb = cast(Literal['lock'] | Unset , d.pop("verb", UNSET))
        if verb != 'lock'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'lock', got '{verb}'")

        lock_request = cls(
            target=target,
            verb=verb,
        )

        return lock_request

