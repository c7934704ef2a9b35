from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.plan_view_document import PlanViewDocument
  from ..models.plan_view_request import PlanViewRequest





T = TypeVar("T", bound="PlanView")



@_attrs_define
class PlanView:
    """ A plan that can be carried out by its digest.

        Attributes:
            by (str):
            digest (str):
            document (PlanViewDocument): Effect of the plan, with bytes, duration and price as far as they are known.
            made_at (datetime.datetime):
            request (PlanViewRequest):
            targets (list[str]): The targets that the plan changes.
            valid_until (datetime.datetime):
            verb (str):
     """

    by: str
    digest: str
    document: PlanViewDocument
    made_at: datetime.datetime
    request: PlanViewRequest
    targets: list[str]
    valid_until: datetime.datetime
    verb: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.plan_view_document import PlanViewDocument # noqa: PLC0415
        from ..models.plan_view_request import PlanViewRequest # noqa: PLC0415
        by = self.by

        digest = self.digest

        document = self.document.to_dict()

        made_at = self.made_at.isoformat()

        request = self.request.to_dict()

        targets = self.targets



        valid_until = self.valid_until.isoformat()

        verb = self.verb


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "by": by,
            "digest": digest,
            "document": document,
            "made_at": made_at,
            "request": request,
            "targets": targets,
            "valid_until": valid_until,
            "verb": verb,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.plan_view_document import PlanViewDocument # noqa: PLC0415
        from ..models.plan_view_request import PlanViewRequest # noqa: PLC0415
        d = dict(src_dict)
        by = d.pop("by")

        digest = d.pop("digest")

        document = PlanViewDocument.from_dict(d.pop("document"))




        made_at = datetime.datetime.fromisoformat(d.pop("made_at"))




        request = PlanViewRequest.from_dict(d.pop("request"))




        targets = cast(list[str], d.pop("targets"))


        valid_until = datetime.datetime.fromisoformat(d.pop("valid_until"))




        verb = d.pop("verb")

        plan_view = cls(
            by=by,
            digest=digest,
            document=document,
            made_at=made_at,
            request=request,
            targets=targets,
            valid_until=valid_until,
            verb=verb,
        )


        plan_view.additional_properties = d
        return plan_view

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
