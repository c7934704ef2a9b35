from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.listed_hold import ListedHold
  from ..models.not_seen import NotSeen





T = TypeVar("T", bound="HoldsReport")



@_attrs_define
class HoldsReport:
    """ The holds of some targets, those that have ended as well.

        Attributes:
            faults (list[str]): Holds that cannot be read.
            holds (list[ListedHold]):
            failures (list[NotSeen] | Unset): Targets whose stores could not be read.
     """

    faults: list[str]
    holds: list[ListedHold]
    failures: list[NotSeen] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.listed_hold import ListedHold # noqa: PLC0415
        from ..models.not_seen import NotSeen # noqa: PLC0415
        faults = self.faults



        holds = []
        for holds_item_data in self.holds:
            holds_item = holds_item_data.to_dict()
            holds.append(holds_item)



        failures: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.failures, Unset):
            failures = []
            for failures_item_data in self.failures:
                failures_item = failures_item_data.to_dict()
                failures.append(failures_item)




        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "faults": faults,
            "holds": holds,
        })
        if failures is not UNSET:
            field_dict["failures"] = failures

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.listed_hold import ListedHold # noqa: PLC0415
        from ..models.not_seen import NotSeen # noqa: PLC0415
        d = dict(src_dict)
        faults = cast(list[str], d.pop("faults"))


        holds = []
        _holds = d.pop("holds")
        for holds_item_data in (_holds):
            holds_item = ListedHold.from_dict(holds_item_data)



            holds.append(holds_item)


        _failures = d.pop("failures", UNSET)
        failures: list[NotSeen] | Unset = UNSET
        if _failures is not UNSET:
            failures = []
            for failures_item_data in _failures:
                failures_item = NotSeen.from_dict(failures_item_data)



                failures.append(failures_item)


        holds_report = cls(
            faults=faults,
            holds=holds,
            failures=failures,
        )


        holds_report.additional_properties = d
        return holds_report

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
