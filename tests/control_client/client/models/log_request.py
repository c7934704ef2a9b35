from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="LogRequest")



@_attrs_define
class LogRequest:
    """ Events of the log: the newest, or the first ones from `start`.

        Attributes:
            datasource (None | str | Unset):
            end (int | None | Unset):
            limit (int | Unset):  Default: 1000.
            start (int | None | Unset):
            type_ (None | str | Unset):
            verb (Literal['log'] | Unset):  Default: 'log'.
     """

    datasource: None | str | Unset = UNSET
    end: int | None | Unset = UNSET
    limit: int | Unset = 1000
    start: int | None | Unset = UNSET
    type_: None | str | Unset = UNSET
    verb: Literal['log'] | Unset = 'log'





    def to_dict(self) -> dict[str, Any]:
        datasource: None | str | Unset
        if isinstance(self.datasource, Unset):
            datasource = UNSET
        else:
            datasource = self.datasource

        end: int | None | Unset
        if isinstance(self.end, Unset):
            end = UNSET
        else:
            end = self.end

        limit = self.limit

        start: int | None | Unset
        if isinstance(self.start, Unset):
            start = UNSET
        else:
            start = self.start

        type_: None | str | Unset
        if isinstance(self.type_, Unset):
            type_ = UNSET
        else:
            type_ = self.type_

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if datasource is not UNSET:
            field_dict["datasource"] = datasource
        if end is not UNSET:
            field_dict["end"] = end
        if limit is not UNSET:
            field_dict["limit"] = limit
        if start is not UNSET:
            field_dict["start"] = start
        if type_ is not UNSET:
            field_dict["type"] = type_
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        def _parse_datasource(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        datasource = _parse_datasource(d.pop("datasource", UNSET))


        def _parse_end(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        end = _parse_end(d.pop("end", UNSET))


        limit = d.pop("limit", UNSET)

        def _parse_start(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        start = _parse_start(d.pop("start", UNSET))


        def _parse_type_(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        type_ = _parse_type_(d.pop("type", UNSET))


        verb = cast(Literal['log'] | Unset , d.pop("verb", UNSET))
        if verb != 'log'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'log', got '{verb}'")

        log_request = cls(
            datasource=datasource,
            end=end,
            limit=limit,
            start=start,
            type_=type_,
            verb=verb,
        )

        return log_request

