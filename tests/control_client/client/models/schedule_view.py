from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.schedule_view_last_type_0 import ScheduleViewLastType0





T = TypeVar("T", bound="ScheduleView")



@_attrs_define
class ScheduleView:
    """ One schedule of one target.

        Attributes:
            cron (str):
            last (None | ScheduleViewLastType0): The newest run; null: there was none.
            last_good (datetime.datetime | None): End of the last good run.
            next_due (datetime.datetime):
            schedule (str):
            target (str):
            time_zone (str):
            type_ (str):
            unknown (str): Why the runs cannot be read; empty: they can.
     """

    cron: str
    last: None | ScheduleViewLastType0
    last_good: datetime.datetime | None
    next_due: datetime.datetime
    schedule: str
    target: str
    time_zone: str
    type_: str
    unknown: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.schedule_view_last_type_0 import ScheduleViewLastType0 # noqa: PLC0415
        cron = self.cron

        last: dict[str, Any] | None
        if isinstance(self.last, ScheduleViewLastType0):
            last = self.last.to_dict()
        else:
            last = self.last

        last_good: None | str
        if isinstance(self.last_good, datetime.datetime):
            last_good = self.last_good.isoformat()
        else:
            last_good = self.last_good

        next_due = self.next_due.isoformat()

        schedule = self.schedule

        target = self.target

        time_zone = self.time_zone

        type_ = self.type_

        unknown = self.unknown


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "cron": cron,
            "last": last,
            "last_good": last_good,
            "next_due": next_due,
            "schedule": schedule,
            "target": target,
            "time_zone": time_zone,
            "type": type_,
            "unknown": unknown,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.schedule_view_last_type_0 import ScheduleViewLastType0 # noqa: PLC0415
        d = dict(src_dict)
        cron = d.pop("cron")

        def _parse_last(data: object) -> None | ScheduleViewLastType0:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                last_type_0 = ScheduleViewLastType0.from_dict(data)



                return last_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ScheduleViewLastType0, data)

        last = _parse_last(d.pop("last"))


        def _parse_last_good(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                last_good_type_0 = datetime.datetime.fromisoformat(data)



                return last_good_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        last_good = _parse_last_good(d.pop("last_good"))


        next_due = datetime.datetime.fromisoformat(d.pop("next_due"))




        schedule = d.pop("schedule")

        target = d.pop("target")

        time_zone = d.pop("time_zone")

        type_ = d.pop("type")

        unknown = d.pop("unknown")

        schedule_view = cls(
            cron=cron,
            last=last,
            last_good=last_good,
            next_due=next_due,
            schedule=schedule,
            target=target,
            time_zone=time_zone,
            type_=type_,
            unknown=unknown,
        )


        schedule_view.additional_properties = d
        return schedule_view

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
