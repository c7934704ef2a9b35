from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="ResumeRequest")



@_attrs_define
class ResumeRequest:
    """ Let a target follow the source again.

        Attributes:
            target (str):
            verb (Literal['resume'] | Unset):  Default: 'resume'.
     """

    target: str
    verb: Literal['resume'] | Unset = 'resume'





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

        verb = cast(Literal['resume'] | Unset , d.pop("verb", UNSET))
        if verb != 'resume'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'resume', got '{verb}'")

        resume_request = cls(
            target=target,
            verb=verb,
        )

        return resume_request

