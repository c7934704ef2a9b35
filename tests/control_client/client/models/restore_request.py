from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset
from typing import cast
from typing import Literal, cast






T = TypeVar("T", bound="RestoreRequest")



@_attrs_define
class RestoreRequest:
    """ Bring a target, or one datasource of it, to an earlier cut.

        Attributes:
            accept_gaps (bool | Unset):  Default: False.
            adopt (bool | Unset):  Default: False.
            ago (None | str | Unset):
            before (int | None | Unset):
            before_drop (None | str | Unset):
            by_reference (bool | Unset):  Default: False.
            datasource (None | str | Unset):
            from_store (None | str | Unset):
            into (None | str | Unset):
            latest (bool | Unset):  Default: False.
            log_id (None | str | Unset):
            quick (bool | Unset): Plan like `restore --dry-run`: without the storages' answers, duration and price. Default:
                False.
            target (None | str | Unset): The target whose bytes are used; or `from_store`.
            to_offset (int | None | Unset):
            to_point (None | str | Unset):
            to_time (None | str | Unset):
            verb (Literal['restore'] | Unset):  Default: 'restore'.
            without_witness (bool | Unset): Do not consult the store's witness: then nothing proves that its cuts are the
                newest. Default: False.
     """

    accept_gaps: bool | Unset = False
    adopt: bool | Unset = False
    ago: None | str | Unset = UNSET
    before: int | None | Unset = UNSET
    before_drop: None | str | Unset = UNSET
    by_reference: bool | Unset = False
    datasource: None | str | Unset = UNSET
    from_store: None | str | Unset = UNSET
    into: None | str | Unset = UNSET
    latest: bool | Unset = False
    log_id: None | str | Unset = UNSET
    quick: bool | Unset = False
    target: None | str | Unset = UNSET
    to_offset: int | None | Unset = UNSET
    to_point: None | str | Unset = UNSET
    to_time: None | str | Unset = UNSET
    verb: Literal['restore'] | Unset = 'restore'
    without_witness: bool | Unset = False





    def to_dict(self) -> dict[str, Any]:
        accept_gaps = self.accept_gaps

        adopt = self.adopt

        ago: None | str | Unset
        if isinstance(self.ago, Unset):
            ago = UNSET
        else:
            ago = self.ago

        before: int | None | Unset
        if isinstance(self.before, Unset):
            before = UNSET
        else:
            before = self.before

        before_drop: None | str | Unset
        if isinstance(self.before_drop, Unset):
            before_drop = UNSET
        else:
            before_drop = self.before_drop

        by_reference = self.by_reference

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

        into: None | str | Unset
        if isinstance(self.into, Unset):
            into = UNSET
        else:
            into = self.into

        latest = self.latest

        log_id: None | str | Unset
        if isinstance(self.log_id, Unset):
            log_id = UNSET
        else:
            log_id = self.log_id

        quick = self.quick

        target: None | str | Unset
        if isinstance(self.target, Unset):
            target = UNSET
        else:
            target = self.target

        to_offset: int | None | Unset
        if isinstance(self.to_offset, Unset):
            to_offset = UNSET
        else:
            to_offset = self.to_offset

        to_point: None | str | Unset
        if isinstance(self.to_point, Unset):
            to_point = UNSET
        else:
            to_point = self.to_point

        to_time: None | str | Unset
        if isinstance(self.to_time, Unset):
            to_time = UNSET
        else:
            to_time = self.to_time

        verb = self.verb

        without_witness = self.without_witness


        field_dict: dict[str, Any] = {}

        field_dict.update({
        })
        if accept_gaps is not UNSET:
            field_dict["accept_gaps"] = accept_gaps
        if adopt is not UNSET:
            field_dict["adopt"] = adopt
        if ago is not UNSET:
            field_dict["ago"] = ago
        if before is not UNSET:
            field_dict["before"] = before
        if before_drop is not UNSET:
            field_dict["before_drop"] = before_drop
        if by_reference is not UNSET:
            field_dict["by_reference"] = by_reference
        if datasource is not UNSET:
            field_dict["datasource"] = datasource
        if from_store is not UNSET:
            field_dict["from_store"] = from_store
        if into is not UNSET:
            field_dict["into"] = into
        if latest is not UNSET:
            field_dict["latest"] = latest
        if log_id is not UNSET:
            field_dict["log_id"] = log_id
        if quick is not UNSET:
            field_dict["quick"] = quick
        if target is not UNSET:
            field_dict["target"] = target
        if to_offset is not UNSET:
            field_dict["to_offset"] = to_offset
        if to_point is not UNSET:
            field_dict["to_point"] = to_point
        if to_time is not UNSET:
            field_dict["to_time"] = to_time
        if verb is not UNSET:
            field_dict["verb"] = verb
        if without_witness is not UNSET:
            field_dict["without_witness"] = without_witness

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        accept_gaps = d.pop("accept_gaps", UNSET)

        adopt = d.pop("adopt", UNSET)

        def _parse_ago(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        ago = _parse_ago(d.pop("ago", UNSET))


        def _parse_before(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        before = _parse_before(d.pop("before", UNSET))


        def _parse_before_drop(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        before_drop = _parse_before_drop(d.pop("before_drop", UNSET))


        by_reference = d.pop("by_reference", UNSET)

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


        def _parse_into(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        into = _parse_into(d.pop("into", UNSET))


        latest = d.pop("latest", UNSET)

        def _parse_log_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        log_id = _parse_log_id(d.pop("log_id", UNSET))


        quick = d.pop("quick", UNSET)

        def _parse_target(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        target = _parse_target(d.pop("target", UNSET))


        def _parse_to_offset(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        to_offset = _parse_to_offset(d.pop("to_offset", UNSET))


        def _parse_to_point(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        to_point = _parse_to_point(d.pop("to_point", UNSET))


        def _parse_to_time(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        to_time = _parse_to_time(d.pop("to_time", UNSET))


        verb = cast(Literal['restore'] | Unset , d.pop("verb", UNSET))
        if verb != 'restore'and not isinstance(verb, Unset):
            raise ValueError(f"verb must match const 'restore', got '{verb}'")

        without_witness = d.pop("without_witness", UNSET)

        restore_request = cls(
            accept_gaps=accept_gaps,
            adopt=adopt,
            ago=ago,
            before=before,
            before_drop=before_drop,
            by_reference=by_reference,
            datasource=datasource,
            from_store=from_store,
            into=into,
            latest=latest,
            log_id=log_id,
            quick=quick,
            target=target,
            to_offset=to_offset,
            to_point=to_point,
            to_time=to_time,
            verb=verb,
            without_witness=without_witness,
        )

        return restore_request

