from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.job_state import JobState
from ..models.role import Role
from ..types import UNSET, Unset
from typing import cast
import datetime

if TYPE_CHECKING:
  from ..models.job_view_document_type_0 import JobViewDocumentType0
  from ..models.job_view_request import JobViewRequest
  from ..models.progress_view import ProgressView





T = TypeVar("T", bound="JobView")



@_attrs_define
class JobView:
    """ One job.

        Attributes:
            again (None | str): Id of the job that this one repeats.
            by (str): Principal who requested the job.
            created_at (datetime.datetime):
            ended_at (datetime.datetime | None):
            exit_code (int | None): As on the command line: 0 is good; 3, 9, 10 and 11 come with a result.
            id (str):
            plan (None | str): Digest of the plan that the job carries out, or has made.
            progress (None | ProgressView):
            request (JobViewRequest):
            role (Role): Permissions of a principal; each role includes those of the roles before it.
            started_at (datetime.datetime | None):
            state (JobState): State of a job; the last four are final.
            targets (list[str]):
            verb (str):
            why (str): Reason for a cancelled, interrupted or failed job.
            document (JobViewDocumentType0 | None | Unset): Document of `--json`: a `result`, or an `error` with its hint;
                null in lists.
     """

    again: None | str
    by: str
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    exit_code: int | None
    id: str
    plan: None | str
    progress: None | ProgressView
    request: JobViewRequest
    role: Role
    started_at: datetime.datetime | None
    state: JobState
    targets: list[str]
    verb: str
    why: str
    document: JobViewDocumentType0 | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)





    def to_dict(self) -> dict[str, Any]:
        from ..models.job_view_document_type_0 import JobViewDocumentType0 # noqa: PLC0415
        from ..models.job_view_request import JobViewRequest # noqa: PLC0415
        from ..models.progress_view import ProgressView # noqa: PLC0415
        again: None | str
        again = self.again

        by = self.by

        created_at = self.created_at.isoformat()

        ended_at: None | str
        if isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        exit_code: int | None
        exit_code = self.exit_code

        id = self.id

        plan: None | str
        plan = self.plan

        progress: dict[str, Any] | None
        if isinstance(self.progress, ProgressView):
            progress = self.progress.to_dict()
        else:
            progress = self.progress

        request = self.request.to_dict()

        role = self.role.value

        started_at: None | str
        if isinstance(self.started_at, datetime.datetime):
            started_at = self.started_at.isoformat()
        else:
            started_at = self.started_at

        state = self.state.value

        targets = self.targets



        verb = self.verb

        why = self.why

        document: dict[str, Any] | None | Unset
        if isinstance(self.document, Unset):
            document = UNSET
        elif isinstance(self.document, JobViewDocumentType0):
            document = self.document.to_dict()
        else:
            document = self.document


        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({
            "again": again,
            "by": by,
            "created_at": created_at,
            "ended_at": ended_at,
            "exit_code": exit_code,
            "id": id,
            "plan": plan,
            "progress": progress,
            "request": request,
            "role": role,
            "started_at": started_at,
            "state": state,
            "targets": targets,
            "verb": verb,
            "why": why,
        })
        if document is not UNSET:
            field_dict["document"] = document

        return field_dict



    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.job_view_document_type_0 import JobViewDocumentType0 # noqa: PLC0415
        from ..models.job_view_request import JobViewRequest # noqa: PLC0415
        from ..models.progress_view import ProgressView # noqa: PLC0415
        d = dict(src_dict)
        def _parse_again(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        again = _parse_again(d.pop("again"))


        by = d.pop("by")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))




        def _parse_ended_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                ended_at_type_0 = datetime.datetime.fromisoformat(data)



                return ended_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        ended_at = _parse_ended_at(d.pop("ended_at"))


        def _parse_exit_code(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        exit_code = _parse_exit_code(d.pop("exit_code"))


        id = d.pop("id")

        def _parse_plan(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        plan = _parse_plan(d.pop("plan"))


        def _parse_progress(data: object) -> None | ProgressView:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                progress_type_0 = ProgressView.from_dict(data)



                return progress_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | ProgressView, data)

        progress = _parse_progress(d.pop("progress"))


        request = JobViewRequest.from_dict(d.pop("request"))




        role = Role(d.pop("role"))




        def _parse_started_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                started_at_type_0 = datetime.datetime.fromisoformat(data)



                return started_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        started_at = _parse_started_at(d.pop("started_at"))


        state = JobState(d.pop("state"))




        targets = cast(list[str], d.pop("targets"))


        verb = d.pop("verb")

        why = d.pop("why")

        def _parse_document(data: object) -> JobViewDocumentType0 | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                document_type_0 = JobViewDocumentType0.from_dict(data)



                return document_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JobViewDocumentType0 | None | Unset, data)

        document = _parse_document(d.pop("document", UNSET))


        job_view = cls(
            again=again,
            by=by,
            created_at=created_at,
            ended_at=ended_at,
            exit_code=exit_code,
            id=id,
            plan=plan,
            progress=progress,
            request=request,
            role=role,
            started_at=started_at,
            state=state,
            targets=targets,
            verb=verb,
            why=why,
            document=document,
        )


        job_view.additional_properties = d
        return job_view

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
