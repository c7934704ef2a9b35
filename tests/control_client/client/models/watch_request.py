from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="WatchRequest")



@_attrs_define
class WatchRequest:
    """ Poll the source once; a watcher that runs does it, and continues.

        Attributes:
            verb (Literal['watch'] | Unset):  Default: 'watch'.
     """

    verb: Literal['watch'] | Unset = 'watch'





    def to_dict(self) -> dict[str, Any]:
        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        verb = cast(Literal['watch'] | Unset , d.pop("verb", UNSET))
        if verb != 'watch'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'watch', got '{verb}'")

        watch_request = cls(
            verb=verb,
        )

        return watch_request

