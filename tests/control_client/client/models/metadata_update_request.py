from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset







T = TypeVar("T", bound="MetadataUpdateRequest")



@_attrs_define
class MetadataUpdateRequest:
    """ Request to bring a target's metadata up to date.

        Attributes:
            target_cluster (str):
     """

    target_cluster: str





    def to_dict(self) -> dict[str, Any]:
        target_cluster = self.target_cluster


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "targetCluster": target_cluster,
        })

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        target_cluster = d.pop("targetCluster")

        metadata_update_request = cls(
            target_cluster=target_cluster,
        )

        return metadata_update_request

