from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="StatusRequest")



@_attrs_define
class StatusRequest:
    """ Everything that `status` shows; the API's own `/v1/status` costs nothing.

        Attributes:
            verb (Literal['status'] | Unset):  Default: 'status'.
     """

    verb: Literal['status'] | Unset = 'status'





    def to_dict(self) -> dict[str, Any]:
        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        verb = cast(Literal['status'] | Unset , d.pop("verb", UNSET))
        if verb != 'status'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'status', got '{verb}'")

        status_request = cls(
            verb=verb,
        )

        return status_request

