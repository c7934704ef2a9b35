from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="TargetCreateRequest")



@_attrs_define
class TargetCreateRequest:
    """ Create a target's tables and folder, and check its Druid's settings.

        Attributes:
            target (str):
            centralized_schema (bool | Unset):  Default: False.
            druid_release (None | str | Unset):
            verb (Literal['target create'] | Unset):  Default: 'target create'.
     """

    target: str
    centralized_schema: bool | Unset = False
    druid_release: None | str | Unset = UNSET
    verb: Literal['target create'] | Unset = 'target create'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        centralized_schema = self.centralized_schema

        druid_release: None | str | Unset
        if isinstance(self.druid_release, Unset):
            druid_release = UNSET
        else:
            druid_release = self.druid_release

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if centralized_schema is not UNSET:
            field_dict["centralized_schema"] = centralized_schema
        if druid_release is not UNSET:
            field_dict["druid_release"] = druid_release
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        centralized_schema = d.pop("centralized_schema", UNSET)

        def _parse_druid_release(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        druid_release = _parse_druid_release(d.pop("druid_release", UNSET))


        verb = cast(Literal['target create'] | Unset , d.pop("verb", UNSET))
        if verb != 'target create'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'target create', got '{verb}'")

        target_create_request = cls(
            target=target,
            centralized_schema=centralized_schema,
            druid_release=druid_release,
            verb=verb,
        )

        return target_create_request

