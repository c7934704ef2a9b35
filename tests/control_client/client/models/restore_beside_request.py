from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="RestoreBesideRequest")



@_attrs_define
class RestoreBesideRequest:
    """ Restore a datasource under another name, beside the live one.

        Attributes:
            rename (str): Both names, as OLD=NEW.
            target (str):
            accept_gaps (bool | Unset):  Default: False.
            ago (None | str | Unset):
            before (int | None | Unset):
            before_drop (None | str | Unset):
            latest (bool | Unset):  Default: False.
            to_offset (int | None | Unset):
            to_point (None | str | Unset):
            to_time (None | str | Unset):
            verb (Literal['restore beside'] | Unset):  Default: 'restore beside'.
     """

    rename: str
    target: str
    accept_gaps: bool | Unset = False
    ago: None | str | Unset = UNSET
    before: int | None | Unset = UNSET
    before_drop: None | str | Unset = UNSET
    latest: bool | Unset = False
    to_offset: int | None | Unset = UNSET
    to_point: None | str | Unset = UNSET
    to_time: None | str | Unset = UNSET
    verb: Literal['restore beside'] | Unset = 'restore beside'





    def to_dict(self) -> dict[str, Any]:
        rename = self.rename

        target = self.target

        accept_gaps = self.accept_gaps

        ago: None | str | Unset
        if isinstance(self.ago, Unset):
            ago = UNSET
        else:
            ago = self.ago

        before: int | None | Unset
        if isinstance(self.before, Unset):
            before = UNSET
        else:
            before = self.before

        before_drop: None | str | Unset
        if isinstance(self.before_drop, Unset):
            before_drop = UNSET
        else:
            before_drop = self.before_drop

        latest = self.latest

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

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "rename": rename,
            "target": target,
        })
        if accept_gaps is not UNSET:
            field_dict["accept_gaps"] = accept_gaps
        if ago is not UNSET:
            field_dict["ago"] = ago
        if before is not UNSET:
            field_dict["before"] = before
        if before_drop is not UNSET:
            field_dict["before_drop"] = before_drop
        if latest is not UNSET:
            field_dict["latest"] = latest
        if to_offset is not UNSET:
            field_dict["to_offset"] = to_offset
        if to_point is not UNSET:
            field_dict["to_point"] = to_point
        if to_time is not UNSET:
            field_dict["to_time"] = to_time
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        rename = d.pop("rename")

        target = d.pop("target")

        accept_gaps = d.pop("accept_gaps", UNSET)

        def _parse_ago(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        ago = _parse_ago(d.pop("ago", UNSET))


        def _parse_before(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        before = _parse_before(d.pop("before", UNSET))


        def _parse_before_drop(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        before_drop = _parse_before_drop(d.pop("before_drop", UNSET))


        latest = d.pop("latest", UNSET)

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


        verb = cast(Literal['restore beside'] | Unset , d.pop("verb", UNSET))
        if verb != 'restore beside'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'restore beside', got '{verb}'")

        restore_beside_request = cls(
            rename=rename,
            target=target,
            accept_gaps=accept_gaps,
            ago=ago,
            before=before,
            before_drop=before_drop,
            latest=latest,
            to_offset=to_offset,
            to_point=to_point,
            to_time=to_time,
            verb=verb,
        )

        return restore_beside_request

