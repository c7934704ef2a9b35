from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.expire_request import ExpireRequest
from ...models.failover_request import FailoverRequest
from ...models.forget_renamed_request import ForgetRenamedRequest
from ...models.job_view import JobView
from ...models.plan_view import PlanView
from ...models.problem_document import ProblemDocument
from ...models.promote_request import PromoteRequest
from ...models.repair_request import RepairRequest
from ...models.restore_beside_request import RestoreBesideRequest
from ...models.restore_request import RestoreRequest
from ...models.rollback_request import RollbackRequest
from ...models.undelete_request import UndeleteRequest
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    body: ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest | RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest | UndeleteRequest,
    wait: float | Unset = 0.0,
    columns: int | Unset = 120,
    service: None | str | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key



    

    params: dict[str, Any] = {}

    params["wait"] = wait

    params["columns"] = columns

    json_service: None | str | Unset
    if isinstance(service, Unset):
        json_service = UNSET
    else:
        json_service = service
    params["service"] = json_service


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/plans",
        "params": params,
    }

    
    if isinstance(body, RestoreRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, RestoreBesideRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, ForgetRenamedRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, RollbackRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, UndeleteRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, RepairRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, ExpireRequest):
        _kwargs["json"] = body.to_dict()
    elif isinstance(body, PromoteRequest):
        _kwargs["json"] = body.to_dict()
    else:
        _kwargs["json"] = body.to_dict()


    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> JobView | PlanView | ProblemDocument:
    if response.status_code == 200:
        response_200 = PlanView.from_dict(response.json())



        return response_200

    if response.status_code == 202:
        response_202 = JobView.from_dict(response.json())



        return response_202

    if response.status_code == 401:
        response_401 = ProblemDocument.from_dict(response.json())



        return response_401

    if response.status_code == 403:
        response_403 = ProblemDocument.from_dict(response.json())



        return response_403

    if response.status_code == 409:
        response_409 = ProblemDocument.from_dict(response.json())



        return response_409

    if response.status_code == 413:
        response_413 = ProblemDocument.from_dict(response.json())



        return response_413

    if response.status_code == 415:
        response_415 = ProblemDocument.from_dict(response.json())



        return response_415

    if response.status_code == 422:
        response_422 = ProblemDocument.from_dict(response.json())



        return response_422

    if response.status_code == 429:
        response_429 = ProblemDocument.from_dict(response.json())



        return response_429

    response_default = ProblemDocument.from_dict(response.json())



    return response_default



def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[JobView | PlanView | ProblemDocument]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest | RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest | UndeleteRequest,
    wait: float | Unset = 0.0,
    columns: int | Unset = 120,
    service: None | str | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,

) -> Response[JobView | PlanView | ProblemDocument]:
    """ Make a plan; its digest carries it out.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        columns (int | Unset): Width of the terminal for the job's text. Default: 120.
        service (None | str | Unset): Address of this service in the text's commands, with
            `--service`; empty: none. Default: commands for the service's own machine.
        idempotency_key (str | Unset):
        body (ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest |
            RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest |
            UndeleteRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JobView | PlanView | ProblemDocument]
     """


    kwargs = _get_kwargs(
        body=body,
wait=wait,
columns=columns,
service=service,
idempotency_key=idempotency_key,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    body: ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest | RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest | UndeleteRequest,
    wait: float | Unset = 0.0,
    columns: int | Unset = 120,
    service: None | str | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,

) -> JobView | PlanView | ProblemDocument | None:
    """ Make a plan; its digest carries it out.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        columns (int | Unset): Width of the terminal for the job's text. Default: 120.
        service (None | str | Unset): Address of this service in the text's commands, with
            `--service`; empty: none. Default: commands for the service's own machine.
        idempotency_key (str | Unset):
        body (ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest |
            RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest |
            UndeleteRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JobView | PlanView | ProblemDocument
     """


    return sync_detailed(
        client=client,
body=body,
wait=wait,
columns=columns,
service=service,
idempotency_key=idempotency_key,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest | RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest | UndeleteRequest,
    wait: float | Unset = 0.0,
    columns: int | Unset = 120,
    service: None | str | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,

) -> Response[JobView | PlanView | ProblemDocument]:
    """ Make a plan; its digest carries it out.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        columns (int | Unset): Width of the terminal for the job's text. Default: 120.
        service (None | str | Unset): Address of this service in the text's commands, with
            `--service`; empty: none. Default: commands for the service's own machine.
        idempotency_key (str | Unset):
        body (ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest |
            RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest |
            UndeleteRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JobView | PlanView | ProblemDocument]
     """


    kwargs = _get_kwargs(
        body=body,
wait=wait,
columns=columns,
service=service,
idempotency_key=idempotency_key,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    body: ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest | RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest | UndeleteRequest,
    wait: float | Unset = 0.0,
    columns: int | Unset = 120,
    service: None | str | Unset = UNSET,
    idempotency_key: str | Unset = UNSET,

) -> JobView | PlanView | ProblemDocument | None:
    """ Make a plan; its digest carries it out.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        columns (int | Unset): Width of the terminal for the job's text. Default: 120.
        service (None | str | Unset): Address of this service in the text's commands, with
            `--service`; empty: none. Default: commands for the service's own machine.
        idempotency_key (str | Unset):
        body (ExpireRequest | FailoverRequest | ForgetRenamedRequest | PromoteRequest |
            RepairRequest | RestoreBesideRequest | RestoreRequest | RollbackRequest |
            UndeleteRequest):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JobView | PlanView | ProblemDocument
     """


    return (await asyncio_detailed(
        client=client,
body=body,
wait=wait,
columns=columns,
service=service,
idempotency_key=idempotency_key,

    )).parsed
