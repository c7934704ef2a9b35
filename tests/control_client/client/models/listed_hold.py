from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime






T = TypeVar("T", bound="ListedHold")



@_attrs_define
class ListedHold:
    """ A hold of one target.

        Attributes:
            created_at (datetime.datetime):
            cut (int):
            in_force (bool):
            log_id (str):
            name (str):
            offset (int):
            reason (str):
            source_time (datetime.datetime):
            target (str):
            until (datetime.datetime | None): When the hold ends by itself; null: it has no end.
     """

    created_at: datetime.datetime
    cut: int
    in_force: bool
    log_id: str
    name: str
    offset: int
    reason: str
    source_time: datetime.datetime
    target: str
    until: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        created_at = self.created_at.isoformat()

        cut = self.cut

        in_force = self.in_force

        log_id = self.log_id

        name = self.name

        offset = self.offset

        reason = self.reason

        source_time = self.source_time.isoformat()

        target = self.target

        until: None | str
        if isinstance(self.until, datetime.datetime):
            until = self.until.isoformat()
        else:
            until = self.until


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "created_at": created_at,
            "cut": cut,
            "in_force": in_force,
            "log_id": log_id,
            "name": name,
            "offset": offset,
            "reason": reason,
            "source_time": source_time,
            "target": target,
            "until": until,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        cut = d.pop("cut")

        in_force = d.pop("in_force")

        log_id = d.pop("log_id")

        name = d.pop("name")

        offset = d.pop("offset")

        reason = d.pop("reason")

        source_time = datetime.datetime.fromisoformat(d.pop("source_time"))




        target = d.pop("target")

        def _parse_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                until_type_0 = datetime.datetime.fromisoformat(data)



                return until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        until = _parse_until(d.pop("until"))


        listed_hold = cls(
            created_at=created_at,
            cut=cut,
            in_force=in_force,
            log_id=log_id,
            name=name,
            offset=offset,
            reason=reason,
            source_time=source_time,
            target=target,
            until=until,
        )


        listed_hold.additional_properties = d
        return listed_hold

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
