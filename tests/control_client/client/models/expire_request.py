from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="ExpireRequest")



@_attrs_define
class ExpireRequest:
    """ Delete bytes and history that nothing retained needs.

        Attributes:
            target (str):
            orphans (bool | Unset):  Default: False.
            retention (None | str | Unset):
            verb (Literal['expire'] | Unset):  Default: 'expire'.
     """

    target: str
    orphans: bool | Unset = False
    retention: None | str | Unset = UNSET
    verb: Literal['expire'] | Unset = 'expire'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        orphans = self.orphans

        retention: None | str | Unset
        if isinstance(self.retention, Unset):
            retention = UNSET
        else:
            retention = self.retention

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if orphans is not UNSET:
            field_dict["orphans"] = orphans
        if retention is not UNSET:
            field_dict["retention"] = retention
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        orphans = d.pop("orphans", UNSET)

        def _parse_retention(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        retention = _parse_retention(d.pop("retention", UNSET))


        verb = cast(Literal['expire'] | Unset , d.pop("verb", UNSET))
        if verb != 'expire'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'expire', got '{verb}'")

        expire_request = cls(
            target=target,
            orphans=orphans,
            retention=retention,
            verb=verb,
        )

        return expire_request

