from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.listed_cut_gaps import ListedCutGaps





T = TypeVar("T", bound="ListedCut")



@_attrs_define
class ListedCut:
    """ The same in a list.

        Attributes:
            cut (int):
            events (int):
            gaps (ListedCutGaps):
            offset (int):
            source_time (datetime.datetime):
            what (str): What happened in it, in words; empty: nothing, or it is not known any more.
     """

    cut: int
    events: int
    gaps: ListedCutGaps
    offset: int
    source_time: datetime.datetime
    what: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.listed_cut_gaps import ListedCutGaps # noqa: PLC0415
        cut = self.cut

        events = self.events

        gaps = self.gaps.to_dict()

        offset = self.offset

        source_time = self.source_time.isoformat()

        what = self.what


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "cut": cut,
            "events": events,
            "gaps": gaps,
            "offset": offset,
            "source_time": source_time,
            "what": what,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.listed_cut_gaps import ListedCutGaps # noqa: PLC0415
        d = dict(src_dict)
        cut = d.pop("cut")

        events = d.pop("events")

        gaps = ListedCutGaps.from_dict(d.pop("gaps"))




        offset = d.pop("offset")

        source_time = datetime.datetime.fromisoformat(d.pop("source_time"))




        what = d.pop("what")

        listed_cut = cls(
            cut=cut,
            events=events,
            gaps=gaps,
            offset=offset,
            source_time=source_time,
            what=what,
        )


        listed_cut.additional_properties = d
        return listed_cut

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
