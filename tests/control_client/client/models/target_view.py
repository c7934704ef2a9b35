from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
  from ..models.target_view_failure_type_0 import TargetViewFailureType0
  from ..models.target_view_seen_type_0 import TargetViewSeenType0





T = TypeVar("T", bound="TargetView")



@_attrs_define
class TargetView:
    """ A configured target, as last seen.

        Attributes:
            failure (None | TargetViewFailureType0): Why there is no newer look; null: there is one.
            has_metadata (bool): Whether the target has a metadata store; without one it is an archive.
            name (str):
            seen (None | TargetViewSeenType0): The target as in `status`; null: it was not seen yet.
     """

    failure: None | TargetViewFailureType0
    has_metadata: bool
    name: str
    seen: None | TargetViewSeenType0
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.target_view_failure_type_0 import TargetViewFailureType0 # noqa: PLC0415
        from ..models.target_view_seen_type_0 import TargetViewSeenType0 # noqa: PLC0415
        failure: dict[str, Any] | None
        if isinstance(self.failure, TargetViewFailureType0):
            failure = self.failure.to_dict()
        else:
            failure = self.failure

        has_metadata = self.has_metadata

        name = self.name

        seen: dict[str, Any] | None
        if isinstance(self.seen, TargetViewSeenType0):
            seen = self.seen.to_dict()
        else:
            seen = self.seen


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "failure": failure,
            "has_metadata": has_metadata,
            "name": name,
            "seen": seen,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.target_view_failure_type_0 import TargetViewFailureType0 # noqa: PLC0415
        from ..models.target_view_seen_type_0 import TargetViewSeenType0 # noqa: PLC0415
        d = dict(src_dict)
        def _parse_failure(data: object) -> None | TargetViewFailureType0:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                failure_type_0 = TargetViewFailureType0.from_dict(data)



                return failure_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TargetViewFailureType0, data)

        failure = _parse_failure(d.pop("failure"))


        has_metadata = d.pop("has_metadata")

        name = d.pop("name")

        def _parse_seen(data: object) -> None | TargetViewSeenType0:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                seen_type_0 = TargetViewSeenType0.from_dict(data)



                return seen_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | TargetViewSeenType0, data)

        seen = _parse_seen(d.pop("seen"))


        target_view = cls(
            failure=failure,
            has_metadata=has_metadata,
            name=name,
            seen=seen,
        )


        target_view.additional_properties = d
        return target_view

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
