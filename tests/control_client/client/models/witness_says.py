from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="WitnessSays")



@_attrs_define
class WitnessSays:
    """ Whether a store has its newest cuts, by its witness.

        Attributes:
            detail (str):
            verdict (str): `newest`, `lost`, `unknown` or `not asked`.
            witness (str):
     """

    detail: str
    verdict: str
    witness: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        detail = self.detail

        verdict = self.verdict

        witness = self.witness


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "detail": detail,
            "verdict": verdict,
            "witness": witness,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        detail = d.pop("detail")

        verdict = d.pop("verdict")

        witness = d.pop("witness")

        witness_says = cls(
            detail=detail,
            verdict=verdict,
            witness=witness,
        )


        witness_says.additional_properties = d
        return witness_says

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
