from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="ForgetRenamedRequest")



@_attrs_define
class ForgetRenamedRequest:
    """ Remove a datasource that was restored under another name.

        Attributes:
            datasource (str):
            target (str):
            verb (Literal['forget renamed'] | Unset):  Default: 'forget renamed'.
     """

    datasource: str
    target: str
    verb: Literal['forget renamed'] | Unset = 'forget renamed'





    def to_dict(self) -> dict[str, Any]:
        datasource = self.datasource

        target = self.target

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "datasource": datasource,
            "target": target,
        })
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        datasource = d.pop("datasource")

        target = d.pop("target")

        verb = cast(Literal['forget renamed'] | Unset , d.pop("verb", UNSET))
        if verb != 'forget renamed'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'forget renamed', got '{verb}'")

        forget_renamed_request = cls(
            datasource=datasource,
            target=target,
            verb=verb,
        )

        return forget_renamed_request

