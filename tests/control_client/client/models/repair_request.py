from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.proof_level import ProofLevel
from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="RepairRequest")



@_attrs_define
class RepairRequest:
    """ Find damage of a target and copy it again.

        Attributes:
            target (str):
            bytes_max (None | str | Unset):
            datasource (None | str | Unset):
            from_target (None | str | Unset):
            interval (None | str | Unset):
            level (ProofLevel | Unset): How thorough a proof is.
            structure (bool | Unset):  Default: False.
            subset (str | Unset):  Default: '100%'.
            verb (Literal['repair'] | Unset):  Default: 'repair'.
     """

    target: str
    bytes_max: None | str | Unset = UNSET
    datasource: None | str | Unset = UNSET
    from_target: None | str | Unset = UNSET
    interval: None | str | Unset = UNSET
    level: ProofLevel | Unset = UNSET
    structure: bool | Unset = False
    subset: str | Unset = '100%'
    verb: Literal['repair'] | Unset = 'repair'





    def to_dict(self) -> dict[str, Any]:
        target = self.target

        bytes_max: None | str | Unset
        if isinstance(self.bytes_max, Unset):
            bytes_max = UNSET
        else:
            bytes_max = self.bytes_max

        datasource: None | str | Unset
        if isinstance(self.datasource, Unset):
            datasource = UNSET
        else:
            datasource = self.datasource

        from_target: None | str | Unset
        if isinstance(self.from_target, Unset):
            from_target = UNSET
        else:
            from_target = self.from_target

        interval: None | str | Unset
        if isinstance(self.interval, Unset):
            interval = UNSET
        else:
            interval = self.interval

        level: str | Unset = UNSET
        if not isinstance(self.level, Unset):
            level = self.level.value


        structure = self.structure

        subset = self.subset

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "target": target,
        })
        if bytes_max is not UNSET:
            field_dict["bytes_max"] = bytes_max
        if datasource is not UNSET:
            field_dict["datasource"] = datasource
        if from_target is not UNSET:
            field_dict["from_target"] = from_target
        if interval is not UNSET:
            field_dict["interval"] = interval
        if level is not UNSET:
            field_dict["level"] = level
        if structure is not UNSET:
            field_dict["structure"] = structure
        if subset is not UNSET:
            field_dict["subset"] = subset
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target = d.pop("target")

        def _parse_bytes_max(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        bytes_max = _parse_bytes_max(d.pop("bytes_max", UNSET))


        def _parse_datasource(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        datasource = _parse_datasource(d.pop("datasource", UNSET))


        def _parse_from_target(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        from_target = _parse_from_target(d.pop("from_target", UNSET))


        def _parse_interval(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        interval = _parse_interval(d.pop("interval", UNSET))


        _level = d.pop("level", UNSET)
        level: ProofLevel | Unset
        if isinstance(_level,  Unset):
            level = UNSET
        else:
            level = ProofLevel(_level)




        structure = d.pop("structure", UNSET)

        subset = d.pop("subset", UNSET)

        verb = cast(Literal['repair'] | Unset , d.pop("verb", UNSET))
        if verb != 'repair'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'repair', got '{verb}'")

        repair_request = cls(
            target=target,
            bytes_max=bytes_max,
            datasource=datasource,
            from_target=from_target,
            interval=interval,
            level=level,
            structure=structure,
            subset=subset,
            verb=verb,
        )

        return repair_request

