from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast






T = TypeVar("T", bound="ProgressView")



@_attrs_define
class ProgressView:
    """ The progress of a running job's present step.

        Attributes:
            done (int):
            eta_seconds (float | None): Time left of this step at its rate so far; null: unknown.
            total (int | None):
            unit (str):
            what (str):
     """

    done: int
    eta_seconds: float | None
    total: int | None
    unit: str
    what: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        done = self.done

        eta_seconds: float | None
        eta_seconds = self.eta_seconds

        total: int | None
        total = self.total

        unit = self.unit

        what = self.what


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "done": done,
            "eta_seconds": eta_seconds,
            "total": total,
            "unit": unit,
            "what": what,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        done = d.pop("done")

        def _parse_eta_seconds(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        eta_seconds = _parse_eta_seconds(d.pop("eta_seconds"))


        def _parse_total(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        total = _parse_total(d.pop("total"))


        unit = d.pop("unit")

        what = d.pop("what")

        progress_view = cls(
            done=done,
            eta_seconds=eta_seconds,
            total=total,
            unit=unit,
            what=what,
        )


        progress_view.additional_properties = d
        return progress_view

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
