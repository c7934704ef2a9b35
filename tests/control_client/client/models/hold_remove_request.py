from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="HoldRemoveRequest")



@_attrs_define
class HoldRemoveRequest:
    """ Let a cut expire like any other.

        Attributes:
            name (str):
            on (str):
            verb (Literal['hold remove'] | Unset):  Default: 'hold remove'.
     """

    name: str
    on: str
    verb: Literal['hold remove'] | Unset = 'hold remove'





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        on = self.on

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
            "on": on,
        })
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        on = d.pop("on")

        verb = cast(Literal['hold remove'] | Unset , d.pop("verb", UNSET))
        if verb != 'hold remove'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'hold remove', got '{verb}'")

        hold_remove_request = cls(
            name=name,
            on=on,
            verb=verb,
        )

        return hold_remove_request

