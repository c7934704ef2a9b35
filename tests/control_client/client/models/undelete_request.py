from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="UndeleteRequest")



@_attrs_define
class UndeleteRequest:
    """ Restore a datasource of a target to the time when it last had used segments.

        Attributes:
            datasource (str):
            on (str):
            accept_gaps (bool | Unset):  Default: False.
            before (int | None | Unset):
            to_offset (int | None | Unset):
            to_time (None | str | Unset):
            verb (Literal['undelete'] | Unset):  Default: 'undelete'.
     """

    datasource: str
    on: str
    accept_gaps: bool | Unset = False
    before: int | None | Unset = UNSET
    to_offset: int | None | Unset = UNSET
    to_time: None | str | Unset = UNSET
    verb: Literal['undelete'] | Unset = 'undelete'





    def to_dict(self) -> dict[str, Any]:
        datasource = self.datasource

        on = self.on

        accept_gaps = self.accept_gaps

        before: int | None | Unset
        if isinstance(self.before, Unset):
            before = UNSET
        else:
            before = self.before

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
            "datasource": datasource,
            "on": on,
        })
        if accept_gaps is not UNSET:
            field_dict["accept_gaps"] = accept_gaps
        if before is not UNSET:
            field_dict["before"] = before
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
        datasource = d.pop("datasource")

        on = d.pop("on")

        accept_gaps = d.pop("accept_gaps", UNSET)

        def _parse_before(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        before = _parse_before(d.pop("before", UNSET))


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


        verb = cast(Literal['undelete'] | Unset , d.pop("verb", UNSET))
        if verb != 'undelete'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'undelete', got '{verb}'")

        undelete_request = cls(
            datasource=datasource,
            on=on,
            accept_gaps=accept_gaps,
            before=before,
            to_offset=to_offset,
            to_time=to_time,
            verb=verb,
        )

        return undelete_request

