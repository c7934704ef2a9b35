from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="IngestTask")



@_attrs_define
class IngestTask:
    """ Restore a datasource from a backup.

        Attributes:
            data_source (str):
            target_cluster (str): The target that gets the datasource.
            type_ (Literal['ingest']):
            backup_cluster (None | str | Unset): The target whose store has the backup; default: `targetCluster` and the
                log.
            offset (int | None | Unset): The moment as an offset of the log.
            plan (None | str | Unset): Digest in the first call's answer; without it nothing is changed.
            timestamp (None | str | Unset): The moment, with its zone; default: the newest cut.
     """

    data_source: str
    target_cluster: str
    type_: Literal['ingest']
    backup_cluster: None | str | Unset = UNSET
    offset: int | None | Unset = UNSET
    plan: None | str | Unset = UNSET
    timestamp: None | str | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        data_source = self.data_source

        target_cluster = self.target_cluster

        type_ = self.type_

        backup_cluster: None | str | Unset
        if isinstance(self.backup_cluster, Unset):
            backup_cluster = UNSET
        else:
            backup_cluster = self.backup_cluster

        offset: int | None | Unset
        if isinstance(self.offset, Unset):
            offset = UNSET
        else:
            offset = self.offset

        plan: None | str | Unset
        if isinstance(self.plan, Unset):
            plan = UNSET
        else:
            plan = self.plan

        timestamp: None | str | Unset
        if isinstance(self.timestamp, Unset):
            timestamp = UNSET
        else:
            timestamp = self.timestamp


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "dataSource": data_source,
            "targetCluster": target_cluster,
            "type": type_,
        })
        if backup_cluster is not UNSET:
            field_dict["backupCluster"] = backup_cluster
        if offset is not UNSET:
            field_dict["offset"] = offset
        if plan is not UNSET:
            field_dict["plan"] = plan
        if timestamp is not UNSET:
            field_dict["timestamp"] = timestamp

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        data_source = d.pop("dataSource")

        target_cluster = d.pop("targetCluster")

        type_ = cast(Literal['ingest'] , d.pop("type"))
        if type_ != 'ingest':
            raise ValueError(f"type must match const 'ingest', got '{type_}'")

        def _parse_backup_cluster(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        backup_cluster = _parse_backup_cluster(d.pop("backupCluster", UNSET))


        def _parse_offset(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        offset = _parse_offset(d.pop("offset", UNSET))


        def _parse_plan(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        plan = _parse_plan(d.pop("plan", UNSET))


        def _parse_timestamp(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        timestamp = _parse_timestamp(d.pop("timestamp", UNSET))


        ingest_task = cls(
            data_source=data_source,
            target_cluster=target_cluster,
            type_=type_,
            backup_cluster=backup_cluster,
            offset=offset,
            plan=plan,
            timestamp=timestamp,
        )

        return ingest_task

