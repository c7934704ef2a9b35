from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="HoldCreateRequest")



@_attrs_define
class HoldCreateRequest:
    """ Keep a cut from expiring, by default the target's newest one.

        Attributes:
            name (str):
            on (str):
            reason (str):
            to_offset (int | None | Unset):
            to_point (None | str | Unset):
            to_time (None | str | Unset):
            until (None | str | Unset):
            verb (Literal['hold create'] | Unset):  Default: 'hold create'.
     """

    name: str
    on: str
    reason: str
    to_offset: int | None | Unset = UNSET
    to_point: None | str | Unset = UNSET
    to_time: None | str | Unset = UNSET
    until: None | str | Unset = UNSET
    verb: Literal['hold create'] | Unset = 'hold create'





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        on = self.on

        reason = self.reason

        to_offset: int | None | Unset
        if isinstance(self.to_offset, Unset):
            to_offset = UNSET
        else:
            to_offset = self.to_offset

        to_point: None | str | Unset
        if isinstance(self.to_point, Unset):
            to_point = UNSET
        else:
            to_point = self.to_point

        to_time: None | str | Unset
        if isinstance(self.to_time, Unset):
            to_time = UNSET
        else:
            to_time = self.to_time

        until: None | str | Unset
        if isinstance(self.until, Unset):
            until = UNSET
        else:
            until = self.until

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
            "on": on,
            "reason": reason,
        })
        if to_offset is not UNSET:
            field_dict["to_offset"] = to_offset
        if to_point is not UNSET:
            field_dict["to_point"] = to_point
        if to_time is not UNSET:
            field_dict["to_time"] = to_time
        if until is not UNSET:
            field_dict["until"] = until
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        on = d.pop("on")

        reason = d.pop("reason")

        def _parse_to_offset(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        to_offset = _parse_to_offset(d.pop("to_offset", UNSET))


        def _parse_to_point(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        to_point = _parse_to_point(d.pop("to_point", UNSET))


        def _parse_to_time(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        to_time = _parse_to_time(d.pop("to_time", UNSET))


        def _parse_until(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        until = _parse_until(d.pop("until", UNSET))


        verb = cast(Literal['hold create'] | Unset , d.pop("verb", UNSET))
        if verb != 'hold create'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'hold create', got '{verb}'")

        hold_create_request = cls(
            name=name,
            on=on,
            reason=reason,
            to_offset=to_offset,
            to_point=to_point,
            to_time=to_time,
            until=until,
            verb=verb,
        )

        return hold_create_request

