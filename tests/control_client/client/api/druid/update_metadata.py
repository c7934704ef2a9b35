from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.metadata_update_request import MetadataUpdateRequest
from ...models.problem_document import ProblemDocument
from ...models.task_view import TaskView
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    body: MetadataUpdateRequest,
    wait: float | Unset = 0.0,
    idempotency_key: str | Unset = UNSET,

) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key



    

    params: dict[str, Any] = {}

    params["wait"] = wait


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/druid/metadata/v1/segment",
        "params": params,
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> ProblemDocument | TaskView:
    if response.status_code == 200:
        response_200 = TaskView.from_dict(response.json())



        return response_200

    if response.status_code == 202:
        response_202 = TaskView.from_dict(response.json())



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



def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[ProblemDocument | TaskView]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: MetadataUpdateRequest,
    wait: float | Unset = 0.0,
    idempotency_key: str | Unset = UNSET,

) -> Response[ProblemDocument | TaskView]:
    """ Bring a target's metadata up to date.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        idempotency_key (str | Unset):
        body (MetadataUpdateRequest): Request to bring a target's metadata up to date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ProblemDocument | TaskView]
     """


    kwargs = _get_kwargs(
        body=body,
wait=wait,
idempotency_key=idempotency_key,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    body: MetadataUpdateRequest,
    wait: float | Unset = 0.0,
    idempotency_key: str | Unset = UNSET,

) -> ProblemDocument | TaskView | None:
    """ Bring a target's metadata up to date.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        idempotency_key (str | Unset):
        body (MetadataUpdateRequest): Request to bring a target's metadata up to date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ProblemDocument | TaskView
     """


    return sync_detailed(
        client=client,
body=body,
wait=wait,
idempotency_key=idempotency_key,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: MetadataUpdateRequest,
    wait: float | Unset = 0.0,
    idempotency_key: str | Unset = UNSET,

) -> Response[ProblemDocument | TaskView]:
    """ Bring a target's metadata up to date.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        idempotency_key (str | Unset):
        body (MetadataUpdateRequest): Request to bring a target's metadata up to date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ProblemDocument | TaskView]
     """


    kwargs = _get_kwargs(
        body=body,
wait=wait,
idempotency_key=idempotency_key,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    body: MetadataUpdateRequest,
    wait: float | Unset = 0.0,
    idempotency_key: str | Unset = UNSET,

) -> ProblemDocument | TaskView | None:
    """ Bring a target's metadata up to date.

    Args:
        wait (float | Unset): Seconds; at most wait_max_s. Default: 0.0.
        idempotency_key (str | Unset):
        body (MetadataUpdateRequest): Request to bring a target's metadata up to date.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ProblemDocument | TaskView
     """


    return (await asyncio_detailed(
        client=client,
body=body,
wait=wait,
idempotency_key=idempotency_key,

    )).parsed
