from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="DrillRequest")



@_attrs_define
class DrillRequest:
    """ Restore a cut from a target's store into a scratch place, and verify it.

        Attributes:
            target (str):
            log_id (None | str | Unset):
            random (bool | Unset):  Default: False.
            to_offset (int | None | Unset):
            to_point (None | str | Unset):
            to_time (None | str | Unset):
            unless_younger (None | str | Unset): Do nothing while the last good drill is younger than this, like `6d`.
            verb (Literal['drill'] | Unset):  Default: 'drill'.
            without_witness (bool | Unset): Do not consult the store's witness; the evidence says so. Default: False.
     """

    target: str
    log_id: None | str | Unset = UNSET
    random: bool | Unset = False
    to_offset: int | None | Unset = UNSET
    to_point: None | str | Unset = UNSET
    to_time: None | str | Unset = UNSET
    unless_younger: None | str | Unset = UNSET
    verb: Literal['drill'] | Unset = 'drill'
    without_witness: bool | Unset = False





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        log_id: None | str | Unset
        if isinstance(self.log_id, Unset):
            log_id = UNSET
        else:
            log_id = self.log_id

        random = self.random

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

        unless_younger: None | str | Unset
        if isinstance(self.unless_younger, Unset):
            unless_younger = UNSET
        else:
            unless_younger = self.unless_younger

        verb = self.verb

        without_witness = self.without_witness


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if log_id is not UNSET:
            field_dict["log_id"] = log_id
        if random is not UNSET:
            field_dict["random"] = random
        if to_offset is not UNSET:
            field_dict["to_offset"] = to_offset
        if to_point is not UNSET:
            field_dict["to_point"] = to_point
        if to_time is not UNSET:
            field_dict["to_time"] = to_time
        if unless_younger is not UNSET:
            field_dict["unless_younger"] = unless_younger
        if verb is not UNSET:
            field_dict["verb"] = verb
        if without_witness is not UNSET:
            field_dict["without_witness"] = without_witness

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        def _parse_log_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        log_id = _parse_log_id(d.pop("log_id", UNSET))


        random = d.pop("random", UNSET)

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


        def _parse_unless_younger(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        unless_younger = _parse_unless_younger(d.pop("unless_younger", UNSET))


        verb = cast(Literal['drill'] | Unset , d.pop("verb", UNSET))
        if verb != 'drill'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'drill', got '{verb}'")

        without_witness = d.pop("without_witness", UNSET)

        drill_request = cls(
            target=target,
            log_id=log_id,
            random=random,
            to_offset=to_offset,
            to_point=to_point,
            to_time=to_time,
            unless_younger=unless_younger,
            verb=verb,
            without_witness=without_witness,
        )

        return drill_request

