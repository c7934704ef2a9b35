from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="ResendRequest")



@_attrs_define
class ResendRequest:
    """ Deliver dead notifications again: the named ones, or all.

        Attributes:
            ids (list[str] | Unset):
            verb (Literal['notifications resend'] | Unset):  Default: 'notifications resend'.
     """

    ids: list[str] | Unset = UNSET
    verb: Literal['notifications resend'] | Unset = 'notifications resend'





    def to_dict(self) -> dict[str, Any]:
        ids: list[str] | Unset = UNSET
        if not isinstance(self.ids, Unset):
            ids = self.ids



        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if ids is not UNSET:
            field_dict["ids"] = ids
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        ids = cast(list[str], d.pop("ids", UNSET))


        verb = cast(Literal['notifications resend'] | Unset , d.pop("verb", UNSET))
        if verb != 'notifications resend'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'notifications resend', got '{verb}'")

        resend_request = cls(
            ids=ids,
            verb=verb,
        )

        return resend_request

