from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="BlameRequest")



@_attrs_define
class BlameRequest:
    """ What changed a datasource or a segment, when, and who requested the change.

        Attributes:
            name (str):
            interval (None | str | Unset):
            limit (int | Unset):  Default: 100.
            verb (Literal['blame'] | Unset):  Default: 'blame'.
     """

    name: str
    interval: None | str | Unset = UNSET
    limit: int | Unset = 100
    verb: Literal['blame'] | Unset = 'blame'





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        interval: None | str | Unset
        if isinstance(self.interval, Unset):
            interval = UNSET
        else:
            interval = self.interval

        limit = self.limit

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
        })
        if interval is not UNSET:
            field_dict["interval"] = interval
        if limit is not UNSET:
            field_dict["limit"] = limit
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        def _parse_interval(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        interval = _parse_interval(d.pop("interval", UNSET))


        limit = d.pop("limit", UNSET)

        verb = cast(Literal['blame'] | Unset , d.pop("verb", UNSET))
        if verb != 'blame'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'blame', got '{verb}'")

        blame_request = cls(
            name=name,
            interval=interval,
            limit=limit,
            verb=verb,
        )

        return blame_request

