from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="PointRemoveRequest")



@_attrs_define
class PointRemoveRequest:
    """ Forget a name; the cut stays.

        Attributes:
            name (str):
            targets (list[str] | Unset):
            verb (Literal['points remove'] | Unset):  Default: 'points remove'.
     """

    name: str
    targets: list[str] | Unset = UNSET
    verb: Literal['points remove'] | Unset = 'points remove'





    def to_dict(self) -> dict[str, Any]:
        name = self.name

        targets: list[str] | Unset = UNSET
        if not isinstance(self.targets, Unset):
            targets = self.targets



        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "name": name,
        })
        if targets is not UNSET:
            field_dict["targets"] = targets
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        name = d.pop("name")

        targets = cast(list[str], d.pop("targets", UNSET))


        verb = cast(Literal['points remove'] | Unset , d.pop("verb", UNSET))
        if verb != 'points remove'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'points remove', got '{verb}'")

        point_remove_request = cls(
            name=name,
            targets=targets,
            verb=verb,
        )

        return point_remove_request

