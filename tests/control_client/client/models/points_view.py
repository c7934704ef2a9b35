from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.points_report import PointsReport
  from ..models.points_view_looked_at import PointsViewLookedAt





T = TypeVar("T", bound="PointsView")



@_attrs_define
class PointsView:
    """ The document of `points --json`.

        Attributes:
            earlier (int | None): Value of `before` for the next page: there are more cuts before the first of `points`.
            generated_at (datetime.datetime):
            looked_at (PointsViewLookedAt): Time of the last reading of each target's store.
            result (PointsReport): The cuts of a log, and what can be restored to them.
            command (str | Unset):  Default: 'points'.
            schema (str | Unset):  Default: 'replicator.v1'.
     """

    earlier: int | None
    generated_at: datetime.datetime
    looked_at: PointsViewLookedAt
    result: PointsReport
    command: str | Unset = 'points'
    schema: str | Unset = 'replicator.v1'
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.points_report import PointsReport # noqa: PLC0415
        from ..models.points_view_looked_at import PointsViewLookedAt # noqa: PLC0415
        earlier: int | None
        earlier = self.earlier

        generated_at = self.generated_at.isoformat()

        looked_at = self.looked_at.to_dict()

        result = self.result.to_dict()

        command = self.command

        schema = self.schema


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "earlier": earlier,
            "generated_at": generated_at,
            "looked_at": looked_at,
            "result": result,
        })
        if command is not UNSET:
            field_dict["command"] = command
        if schema is not UNSET:
            field_dict["schema"] = schema

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.points_report import PointsReport # noqa: PLC0415
        from ..models.points_view_looked_at import PointsViewLookedAt # noqa: PLC0415
        d = dict(src_dict)
        def _parse_earlier(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        earlier = _parse_earlier(d.pop("earlier"))


        generated_at = datetime.datetime.fromisoformat(d.pop("generated_at"))




        looked_at = PointsViewLookedAt.from_dict(d.pop("looked_at"))




        result = PointsReport.from_dict(d.pop("result"))




        command = d.pop("command", UNSET)

        schema = d.pop("schema", UNSET)

        points_view = cls(
            earlier=earlier,
            generated_at=generated_at,
            looked_at=looked_at,
            result=result,
            command=command,
            schema=schema,
        )


        points_view.additional_properties = d
        return points_view

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
