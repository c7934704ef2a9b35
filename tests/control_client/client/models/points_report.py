from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.cut_point import CutPoint
  from ..models.listed_cut import ListedCut
  from ..models.not_seen import NotSeen
  from ..models.target_points import TargetPoints





T = TypeVar("T", bound="PointsReport")



@_attrs_define
class PointsReport:
    """ The cuts of a log, and what can be restored to them.

        Attributes:
            cuts (int): Number of all cuts.
            first (CutPoint | None):
            last (CutPoint | None):
            points (list[ListedCut]): Some of them, the newest last.
            targets (list[TargetPoints]):
            failures (list[NotSeen] | Unset): What could not be seen of the targets.
     """

    cuts: int
    first: CutPoint | None
    last: CutPoint | None
    points: list[ListedCut]
    targets: list[TargetPoints]
    failures: list[NotSeen] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.cut_point import CutPoint # noqa: PLC0415
        from ..models.listed_cut import ListedCut # noqa: PLC0415
        from ..models.not_seen import NotSeen # noqa: PLC0415
        from ..models.target_points import TargetPoints # noqa: PLC0415
        cuts = self.cuts

        first: dict[str, Any] | None
        if isinstance(self.first, CutPoint):
            first = self.first.to_dict()
        else:
            first = self.first

        last: dict[str, Any] | None
        if isinstance(self.last, CutPoint):
            last = self.last.to_dict()
        else:
            last = self.last

        points = []
        for points_item_data in self.points:
            points_item = points_item_data.to_dict()
            points.append(points_item)



        targets = []
        for targets_item_data in self.targets:
            targets_item = targets_item_data.to_dict()
            targets.append(targets_item)



        failures: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.failures, Unset):
            failures = []
            for failures_item_data in self.failures:
                failures_item = failures_item_data.to_dict()
                failures.append(failures_item)




        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "cuts": cuts,
            "first": first,
            "last": last,
            "points": points,
            "targets": targets,
        })
        if failures is not UNSET:
            field_dict["failures"] = failures

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.cut_point import CutPoint # noqa: PLC0415
        from ..models.listed_cut import ListedCut # noqa: PLC0415
        from ..models.not_seen import NotSeen # noqa: PLC0415
        from ..models.target_points import TargetPoints # noqa: PLC0415
        d = dict(src_dict)
        cuts = d.pop("cuts")

        def _parse_first(data: object) -> CutPoint | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                first_type_0 = CutPoint.from_dict(data)



                return first_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(CutPoint | None, data)

        first = _parse_first(d.pop("first"))


        def _parse_last(data: object) -> CutPoint | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                last_type_0 = CutPoint.from_dict(data)



                return last_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(CutPoint | None, data)

        last = _parse_last(d.pop("last"))


        points = []
        _points = d.pop("points")
        for points_item_data in (_points):
            points_item = ListedCut.from_dict(points_item_data)



            points.append(points_item)


        targets = []
        _targets = d.pop("targets")
        for targets_item_data in (_targets):
            targets_item = TargetPoints.from_dict(targets_item_data)



            targets.append(targets_item)


        _failures = d.pop("failures", UNSET)
        failures: list[NotSeen] | Unset = UNSET
        if _failures is not UNSET:
            failures = []
            for failures_item_data in _failures:
                failures_item = NotSeen.from_dict(failures_item_data)



                failures.append(failures_item)


        points_report = cls(
            cuts=cuts,
            first=first,
            last=last,
            points=points,
            targets=targets,
            failures=failures,
        )


        points_report.additional_properties = d
        return points_report

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
