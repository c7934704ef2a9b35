from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import Literal, cast






T = TypeVar("T", bound="CopyTask")



@_attrs_define
class CopyTask:
    """ Copy a datasource's segments to a target.

        Attributes:
            data_source (str):
            target_cluster (str):
            type_ (Literal['copy']):
     """

    data_source: str
    target_cluster: str
    type_: Literal['copy']





    def to_dict(self) -> dict[str, Any]:
        data_source = self.data_source

        target_cluster = self.target_cluster

        type_ = self.type_


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "dataSource": data_source,
            "targetCluster": target_cluster,
            "type": type_,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        data_source = d.pop("dataSource")

        target_cluster = d.pop("targetCluster")

        type_ = cast(Literal['copy'] , d.pop("type"))
        if type_ != 'copy':
            raise ValueError(f"type must match const 'copy', got '{type_}'")

        copy_task = cls(
            data_source=data_source,
            target_cluster=target_cluster,
            type_=type_,
        )

        return copy_task

