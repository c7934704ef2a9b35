from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.cut_point_gaps import CutPointGaps





T = TypeVar("T", bound="CutPoint")



@_attrs_define
class CutPoint:
    """ A cut that a target can be brought to.

        Attributes:
            cut (int):
            events (int):
            gaps (CutPointGaps): Number of rows that each target would lack.
            offset (int):
            source_time (datetime.datetime):
     """

    cut: int
    events: int
    gaps: CutPointGaps
    offset: int
    source_time: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.cut_point_gaps import CutPointGaps # noqa: PLC0415
        cut = self.cut

        events = self.events

        gaps = self.gaps.to_dict()

        offset = self.offset

        source_time = self.source_time.isoformat()


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "cut": cut,
            "events": events,
            "gaps": gaps,
            "offset": offset,
            "source_time": source_time,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.cut_point_gaps import CutPointGaps # noqa: PLC0415
        d = dict(src_dict)
        cut = d.pop("cut")

        events = d.pop("events")

        gaps = CutPointGaps.from_dict(d.pop("gaps"))




        offset = d.pop("offset")

        source_time = datetime.datetime.fromisoformat(d.pop("source_time"))




        cut_point = cls(
            cut=cut,
            events=events,
            gaps=gaps,
            offset=offset,
            source_time=source_time,
        )


        cut_point.additional_properties = d
        return cut_point

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
