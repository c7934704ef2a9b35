from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="PauseRequest")



@_attrs_define
class PauseRequest:
    """ Keep a target at its cut until it is resumed.

        Attributes:
            target (str):
            to_offset (int | None | Unset): The cut that the target was last seen at; another one is refused.
            verb (Literal['pause'] | Unset):  Default: 'pause'.
     """

    target: str
    to_offset: int | None | Unset = UNSET
    verb: Literal['pause'] | Unset = 'pause'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        to_offset: int | None | Unset
        if isinstance(self.to_offset, Unset):
            to_offset = UNSET
        else:
            to_offset = self.to_offset

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if to_offset is not UNSET:
            field_dict["to_offset"] = to_offset
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        def _parse_to_offset(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        to_offset = _parse_to_offset(d.pop("to_offset", UNSET))


        verb = cast(Literal['pause'] | Unset , d.pop("verb", UNSET))
        if verb != 'pause'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'pause', got '{verb}'")

        pause_request = cls(
            target=target,
            to_offset=to_offset,
            verb=verb,
        )

        return pause_request

