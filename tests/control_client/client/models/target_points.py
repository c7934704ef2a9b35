from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast

if TYPE_CHECKING:
  from ..models.held_cut import HeldCut
  from ..models.known_gap import KnownGap
  from ..models.known_point import KnownPoint
  from ..models.window_span import WindowSpan
  from ..models.witness_says import WitnessSays





T = TypeVar("T", bound="TargetPoints")



@_attrs_define
class TargetPoints:
    """ What one target can be restored to.

        Attributes:
            checkpoint_offset (int | None):
            expired_before (int):
            faults (list[str]): Damage in its store.
            gap_count (int): Number of all gaps, those that are closed as well.
            gaps (list[KnownGap]): The API lists the newest, the verb all.
            held (list[HeldCut]):
            log_id (None | str): Null: its store keeps no history of this log.
            named (list[KnownPoint]):
            other_logs (list[str]): Ids of further logs whose histories its store keeps.
            target (str):
            windows (list[WindowSpan]):
            witness (None | Unset | WitnessSays): What its witness says; null: it has none, or its store alone was not read.
     """

    checkpoint_offset: int | None
    expired_before: int
    faults: list[str]
    gap_count: int
    gaps: list[KnownGap]
    held: list[HeldCut]
    log_id: None | str
    named: list[KnownPoint]
    other_logs: list[str]
    target: str
    windows: list[WindowSpan]
    witness: None | Unset | WitnessSays = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.held_cut import HeldCut # noqa: PLC0415
        from ..models.known_gap import KnownGap # noqa: PLC0415
        from ..models.known_point import KnownPoint # noqa: PLC0415
        from ..models.window_span import WindowSpan # noqa: PLC0415
        from ..models.witness_says import WitnessSays # noqa: PLC0415
        checkpoint_offset: int | None
        checkpoint_offset = self.checkpoint_offset

        expired_before = self.expired_before

        faults = self.faults



        gap_count = self.gap_count

        gaps = []
        for gaps_item_data in self.gaps:
            gaps_item = gaps_item_data.to_dict()
            gaps.append(gaps_item)



        held = []
        for held_item_data in self.held:
            held_item = held_item_data.to_dict()
            held.append(held_item)



        log_id: None | str
        log_id = self.log_id

        named = []
        for named_item_data in self.named:
            named_item = named_item_data.to_dict()
            named.append(named_item)



        other_logs = self.other_logs



        target = self.target

        windows = []
        for windows_item_data in self.windows:
            windows_item = windows_item_data.to_dict()
            windows.append(windows_item)



        witness: dict[str, Any] | None | Unset
        if isinstance(self.witness, Unset):
            witness = UNSET
        elif isinstance(self.witness, WitnessSays):
            witness = self.witness.to_dict()
        else:
            witness = self.witness


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "checkpoint_offset": checkpoint_offset,
            "expired_before": expired_before,
            "faults": faults,
            "gap_count": gap_count,
            "gaps": gaps,
            "held": held,
            "log_id": log_id,
            "named": named,
            "other_logs": other_logs,
            "target": target,
            "windows": windows,
        })
        if witness is not UNSET:
            field_dict["witness"] = witness

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.held_cut import HeldCut # noqa: PLC0415
        from ..models.known_gap import KnownGap # noqa: PLC0415
        from ..models.known_point import KnownPoint # noqa: PLC0415
        from ..models.window_span import WindowSpan # noqa: PLC0415
        from ..models.witness_says import WitnessSays # noqa: PLC0415
        d = dict(src_dict)
        def _parse_checkpoint_offset(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        checkpoint_offset = _parse_checkpoint_offset(d.pop("checkpoint_offset"))


        expired_before = d.pop("expired_before")

        faults = cast(list[str], d.pop("faults"))


        gap_count = d.pop("gap_count")

        gaps = []
        _gaps = d.pop("gaps")
        for gaps_item_data in (_gaps):
            gaps_item = KnownGap.from_dict(gaps_item_data)



            gaps.append(gaps_item)


        held = []
        _held = d.pop("held")
        for held_item_data in (_held):
            held_item = HeldCut.from_dict(held_item_data)



            held.append(held_item)


        def _parse_log_id(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        log_id = _parse_log_id(d.pop("log_id"))


        named = []
        _named = d.pop("named")
        for named_item_data in (_named):
            named_item = KnownPoint.from_dict(named_item_data)



            named.append(named_item)


        other_logs = cast(list[str], d.pop("other_logs"))


        target = d.pop("target")

        windows = []
        _windows = d.pop("windows")
        for windows_item_data in (_windows):
            windows_item = WindowSpan.from_dict(windows_item_data)



            windows.append(windows_item)


        def _parse_witness(data: object) -> None | Unset | WitnessSays:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                witness_type_0 = WitnessSays.from_dict(data)



                return witness_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unset | WitnessSays, data)

        witness = _parse_witness(d.pop("witness", UNSET))


        target_points = cls(
            checkpoint_offset=checkpoint_offset,
            expired_before=expired_before,
            faults=faults,
            gap_count=gap_count,
            gaps=gaps,
            held=held,
            log_id=log_id,
            named=named,
            other_logs=other_logs,
            target=target,
            windows=windows,
            witness=witness,
        )


        target_points.additional_properties = d
        return target_points

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
