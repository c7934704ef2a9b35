from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="HoldsAsked")



@_attrs_define
class HoldsAsked:
    """ The holds of one target, or of all.

        Attributes:
            on (None | str | Unset):
            verb (Literal['hold list'] | Unset):  Default: 'hold list'.
     """

    on: None | str | Unset = UNSET
    verb: Literal['hold list'] | Unset = 'hold list'





    def to_dict(self) -> dict[str, Any]:
        on: None | str | Unset
        if isinstance(self.on, Unset):
            on = UNSET
        else:
            on = self.on

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if on is not UNSET:
            field_dict["on"] = on
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        def _parse_on(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        on = _parse_on(d.pop("on", UNSET))


        verb = cast(Literal['hold list'] | Unset , d.pop("verb", UNSET))
        if verb != 'hold list'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'hold list', got '{verb}'")

        holds_asked = cls(
            on=on,
            verb=verb,
        )

        return holds_asked

