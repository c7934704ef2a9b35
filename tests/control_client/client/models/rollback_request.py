from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import Literal, cast






T = TypeVar("T", bound="RollbackRequest")



@_attrs_define
class RollbackRequest:
    """ Return one datasource of a target to an earlier state.

        Attributes:
            datasource (str):
            on (str):
            to (str): `before-drop`, `10m ago`, `latest`, a time with its zone, an offset, or a point's name.
            accept_gaps (bool | Unset):  Default: False.
            verb (Literal['rollback'] | Unset):  Default: 'rollback'.
     """

    datasource: str
    on: str
    to: str
    accept_gaps: bool | Unset = False
    verb: Literal['rollback'] | Unset = 'rollback'





    def to_dict(self) -> dict[str, Any]:
        datasource = self.datasource

        on = self.on

        to = self.to

        accept_gaps = self.accept_gaps

        verb = self.verb


        field_dict: dict[str, Any] = {}

        field_dict.update({
            "datasource": datasource,
            "on": on,
            "to": to,
        })
        if accept_gaps is not UNSET:
            field_dict["accept_gaps"] = accept_gaps
        if verb is not UNSET:
            field_dict["verb"] = verb

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        datasource = d.pop("datasource")

        on = d.pop("on")

        to = d.pop("to")

        accept_gaps = d.pop("accept_gaps", UNSET)

        verb = cast(Literal['rollback'] | Unset , d.pop("verb", UNSET))
        if verb != 'rollback'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'rollback', got '{verb}'")

        rollback_request = cls(
            datasource=datasource,
            on=on,
            to=to,
            accept_gaps=accept_gaps,
            verb=verb,
        )

        return rollback_request

