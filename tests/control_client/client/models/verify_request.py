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






T = TypeVar("T", bound="VerifyRequest")



@_attrs_define
class VerifyRequest:
    """ Compare a target with the log, or its answers with the source's.

        Attributes:
            target (str):
            bytes_max (None | str | Unset):
            datasource (None | str | Unset):
            from_store (None | str | Unset):
            interval (None | str | Unset):
            level (ProofLevel | Unset): How thorough a proof is.
            log_id (None | str | Unset):
            rolling (bool | Unset):  Default: False.
            structure (bool | Unset):  Default: False.
            subset (str | Unset):  Default: '100%'.
            verb (Literal['verify'] | Unset):  Default: 'verify'.
     """

    target: str
    bytes_max: None | str | Unset = UNSET
    datasource: None | str | Unset = UNSET
    from_store: None | str | Unset = UNSET
    interval: None | str | Unset = UNSET
    level: ProofLevel | Unset = UNSET
    log_id: None | str | Unset = UNSET
    rolling: bool | Unset = False
    structure: bool | Unset = False
    subset: str | Unset = '100%'
    verb: Literal['verify'] | Unset = 'verify'





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

        from_store: None | str | Unset
        if isinstance(self.from_store, Unset):
            from_store = UNSET
        else:
            from_store = self.from_store

        interval: None | str | Unset
        if isinstance(self.interval, Unset):
            interval = UNSET
        else:
            interval = self.interval

        level: str | Unset = UNSET
        if not isinstance(self.level, Unset):
            level = self.level.value


        log_id: None | str | Unset
        if isinstance(self.log_id, Unset):
            log_id = UNSET
        else:
            log_id = self.log_id

        rolling = self.rolling

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
        if from_store is not UNSET:
            field_dict["from_store"] = from_store
        if interval is not UNSET:
            field_dict["interval"] = interval
        if level is not UNSET:
            field_dict["level"] = level
        if log_id is not UNSET:
            field_dict["log_id"] = log_id
        if rolling is not UNSET:
            field_dict["rolling"] = rolling
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


        def _parse_from_store(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        from_store = _parse_from_store(d.pop("from_store", UNSET))


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




        def _parse_log_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        log_id = _parse_log_id(d.pop("log_id", UNSET))


        rolling = d.pop("rolling", UNSET)

        structure = d.pop("structure", UNSET)

        subset = d.pop("subset", UNSET)

        verb = cast(Literal['verify'] | Unset , d.pop("verb", UNSET))
        if verb != 'verify'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'verify', got '{verb}'")

        verify_request = cls(
            target=target,
            bytes_max=bytes_max,
            datasource=datasource,
            from_store=from_store,
            interval=interval,
            level=level,
            log_id=log_id,
            rolling=rolling,
            structure=structure,
            subset=subset,
            verb=verb,
        )

        return verify_request

