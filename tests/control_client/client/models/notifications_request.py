from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.delivery_state import DeliveryState
from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="NotificationsRequest")



@_attrs_define
class NotificationsRequest:
    """ What was sent to webhooks; the API's own `/v1/notifications` costs nothing.

        Attributes:
            state (DeliveryState | None | Unset):
            verb (Literal['notifications list'] | Unset):  Default: 'notifications list'.
     """

    state: DeliveryState | None | Unset = UNSET
    verb: Literal['notifications list'] | Unset = 'notifications list'





    def to_dict(self) -> dict[str, Any]:
        state: None | str | Unset
        if isinstance(self.state, Unset):
            state = UNSET
        elif isinstance(self.state, DeliveryState):
            state = self.state.value
        else:
            state = self.state

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if state is not UNSET:
            field_dict["state"] = state
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
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


        verb = cast(Literal['notifications list'] | Unset , d.pop("verb", UNSET))
        if verb != 'notifications list'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'notifications list', got '{verb}'")

        notifications_request = cls(
            state=state,
            verb=verb,
        )

        return notifications_request

