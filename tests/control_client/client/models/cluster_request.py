from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="ClusterRequest")



@_attrs_define
class ClusterRequest:
    """ Request to create a target.

        Attributes:
            cluster_name (str):
            centralized_datasource_schema (bool | Unset):  Default: False.
            druid_version (None | str | Unset): Release whose tables are created; default: the release that the target's
                Druid reports.
     """

    cluster_name: str
    centralized_datasource_schema: bool | Unset = False
    druid_version: None | str | Unset = UNSET





    def to_dict(self) -> dict[str, Any]:
        cluster_name = self.cluster_name

        centralized_datasource_schema = self.centralized_datasource_schema

        druid_version: None | str | Unset
        if isinstance(self.druid_version, Unset):
            druid_version = UNSET
        else:
            druid_version = self.druid_version


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "clusterName": cluster_name,
        })
        if centralized_datasource_schema is not UNSET:
            field_dict["centralizedDatasourceSchema"] = centralized_datasource_schema
        if druid_version is not UNSET:
            field_dict["druidVersion"] = druid_version

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        cluster_name = d.pop("clusterName")

        centralized_datasource_schema = d.pop("centralizedDatasourceSchema", UNSET)

        def _parse_druid_version(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        druid_version = _parse_druid_version(d.pop("druidVersion", UNSET))


        cluster_request = cls(
            cluster_name=cluster_name,
            centralized_datasource_schema=centralized_datasource_schema,
            druid_version=druid_version,
        )

        return cluster_request

