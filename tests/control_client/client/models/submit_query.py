from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast






T = TypeVar("T", bound="SubmitQuery")



@_attrs_define
class SubmitQuery:
    """ How a job is submitted.

        Attributes:
            columns (int | Unset): Width of the terminal for the job's text. Default: 120.
            service (None | str | Unset): Address of this service in the text's commands, with `--service`; empty: none.
                Default: commands for the service's own machine.
            wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
     """

    columns: int | Unset = 120
    service: None | str | Unset = UNSET
    wait: float | Unset = 0.0





    def to_dict(self) -> dict[str, Any]:
        columns = self.columns

        service: None | str | Unset
        if isinstance(self.service, Unset):
            service = UNSET
        else:
            service = self.service

        wait = self.wait


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if columns is not UNSET:
            field_dict["columns"] = columns
        if service is not UNSET:
            field_dict["service"] = service
        if wait is not UNSET:
            field_dict["wait"] = wait

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        columns = d.pop("columns", UNSET)

        def _parse_service(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        service = _parse_service(d.pop("service", UNSET))


        wait = d.pop("wait", UNSET)

        submit_query = cls(
            columns=columns,
            service=service,
            wait=wait,
        )

        return submit_query

