from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="PointCreateRequest")



@_attrs_define
class PointCreateRequest:
    """ Name a cut, by default the newest one.

        Attributes:
            name (str):
            before (int | None | Unset):
            targets (list[str] | Unset):
            to_offset (int | None | Unset):
            to_time (None | str | Unset):
            verb (Literal['points create'] | Unset):  Default: 'points create'.
     """

    name: str
    before: int | None | Unset = UNSET
    targets: list[str] | Unset = UNSET
    to_offset: int | None | Unset = UNSET
    to_time: None | str | Unset = UNSET
    verb: Literal['points create'] | Unset = 'points create'





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        before: int | None | Unset
        if isinstance(self.before, Unset):
            before = UNSET
        else:
            before = self.before

        targets: list[str] | Unset = UNSET
        if not isinstance(self.targets, Unset):
            targets = self.targets



        to_offset: int | None | Unset
        if isinstance(self.to_offset, Unset):
            to_offset = UNSET
        else:
            to_offset = self.to_offset

        to_time: None | str | Unset
        if isinstance(self.to_time, Unset):
            to_time = UNSET
        else:
            to_time = self.to_time

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
        })
        if before is not UNSET:
            field_dict["before"] = before
        if targets is not UNSET:
            field_dict["targets"] = targets
        if to_offset is not UNSET:
            field_dict["to_offset"] = to_offset
        if to_time is not UNSET:
            field_dict["to_time"] = to_time
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        def _parse_before(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        before = _parse_before(d.pop("before", UNSET))


        targets = cast(list[str], d.pop("targets", UNSET))


        def _parse_to_offset(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        to_offset = _parse_to_offset(d.pop("to_offset", UNSET))


        def _parse_to_time(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        to_time = _parse_to_time(d.pop("to_time", UNSET))


        verb = cast(Literal['points create'] | Unset , d.pop("verb", UNSET))
        if verb != 'points create'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'points create', got '{verb}'")

        point_create_request = cls(
            name=name,
            before=before,
            targets=targets,
            to_offset=to_offset,
            to_time=to_time,
            verb=verb,
        )

        return point_create_request

