from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.delivery_state import DeliveryState
from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="NotificationsQuery")



@_attrs_define
class NotificationsQuery:
    """ Selects the listed notifications.

        Attributes:
            limit (int | Unset):  Default: 100.
            state (DeliveryState | None | Unset):
     """

    limit: int | Unset = 100
    state: DeliveryState | None | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        limit = self.limit

        state: None | str | Unset
        if isinstance(self.state, Unset):
            state = UNSET
        elif isinstance(self.state, DeliveryState):
            state = self.state.value
        else:
            state = self.state


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if limit is not UNSET:
            field_dict["limit"] = limit
        if state is not UNSET:
            field_dict["state"] = state

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        limit = d.pop("limit", UNSET)

        def _parse_state(data: object) -> DeliveryState | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                state_type_0 = DeliveryState(data)



                return state_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(DeliveryState | None | Unset, data)

        state = _parse_state(d.pop("state", UNSET))


        notifications_query = cls(
            limit=limit,
            state=state,
        )

        return notifications_query

