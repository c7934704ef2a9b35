from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.delivery_state import DeliveryState
from typing import cast
import datetime






T = TypeVar("T", bound="NotificationView")



@_attrs_define
class NotificationView:
    """ One notification to one webhook.

        Attributes:
            attempts (int): Number of failed attempts.
            error (str): Error of the last attempt; empty: none has failed.
            id (str):
            made_at (datetime.datetime):
            next_at (datetime.datetime):
            state (DeliveryState): State of a delivery.
            summary (str):
            target (None | str):
            type_ (str):
            webhook (str):
     """

    attempts: int
    error: str
    id: str
    made_at: datetime.datetime
    next_at: datetime.datetime
    state: DeliveryState
    summary: str
    target: None | str
    type_: str
    webhook: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        attempts = self.attempts

        error = self.error

        id = self.id

        made_at = self.made_at.isoformat()

        next_at = self.next_at.isoformat()

        state = self.state.value

        summary = self.summary

        target: None | str
        target = self.target

        type_ = self.type_

        webhook = self.webhook


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "attempts": attempts,
            "error": error,
            "id": id,
            "made_at": made_at,
            "next_at": next_at,
            "state": state,
            "summary": summary,
            "target": target,
            "type": type_,
            "webhook": webhook,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        attempts = d.pop("attempts")

        error = d.pop("error")

        id = d.pop("id")

        made_at = datetime.datetime.fromisoformat(d.pop("made_at"))




        next_at = datetime.datetime.fromisoformat(d.pop("next_at"))




        state = DeliveryState(d.pop("state"))




        summary = d.pop("summary")

        def _parse_target(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        target = _parse_target(d.pop("target"))


        type_ = d.pop("type")

        webhook = d.pop("webhook")

        notification_view = cls(
            attempts=attempts,
            error=error,
            id=id,
            made_at=made_at,
            next_at=next_at,
            state=state,
            summary=summary,
            target=target,
            type_=type_,
            webhook=webhook,
        )


        notification_view.additional_properties = d
        return notification_view

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
