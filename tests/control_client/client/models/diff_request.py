from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="DiffRequest")



@_attrs_define
class DiffRequest:
    """ Rows that differ between two cuts: offsets, times with their zone, or `latest`.

        Attributes:
            after (str):
            before (str):
            limit (int | Unset):  Default: 1000.
            verb (Literal['diff'] | Unset):  Default: 'diff'.
     """

    after: str
    before: str
    limit: int | Unset = 1000
    verb: Literal['diff'] | Unset = 'diff'





    def to_dict(self) -> dict[str, Any]:
        after = self.after

        before = self.before

        limit = self.limit

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "after": after,
            "before": before,
        })
        if limit is not UNSET:
            field_dict["limit"] = limit
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        after = d.pop("after")

        before = d.pop("before")

        limit = d.pop("limit", UNSET)

        verb = cast(Literal['diff'] | Unset , d.pop("verb", UNSET))
        if verb != 'diff'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'diff', got '{verb}'")

        diff_request = cls(
            after=after,
            before=before,
            limit=limit,
            verb=verb,
        )

        return diff_request

