from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.job_state import JobState
from ...models.jobs_view import JobsView
from ...models.problem_document import ProblemDocument
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    limit: int | Unset = 50,
    state: JobState | None | Unset = UNSET,
    target: None | str | Unset = UNSET,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    params["limit"] = limit

    json_state: None | str | Unset
    if isinstance(state, Unset):
        json_state = UNSET
    elif isinstance(state, JobState):
        json_state = state.value
    else:
        json_state = state
    params["state"] = json_state

    json_target: None | str | Unset
    if isinstance(target, Unset):
        json_target = UNSET
    else:
        json_target = target
    params["target"] = json_target


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/jobs",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> JobsView | ProblemDocument:
    if response.status_code == 200:
        response_200 = JobsView.from_dict(response.json())



        return response_200

    if response.status_code == 401:
        response_401 = ProblemDocument.from_dict(response.json())



        return response_401

    if response.status_code == 403:
        response_403 = ProblemDocument.from_dict(response.json())



        return response_403

    if response.status_code == 422:
        response_422 = ProblemDocument.from_dict(response.json())



        return response_422

    if response.status_code == 429:
        response_429 = ProblemDocument.from_dict(response.json())



        return response_429

    response_default = ProblemDocument.from_dict(response.json())



    return response_default



def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[JobsView | ProblemDocument]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 50,
    state: JobState | None | Unset = UNSET,
    target: None | str | Unset = UNSET,

) -> Response[JobsView | ProblemDocument]:
    """ List the newest jobs.

    Args:
        limit (int | Unset):  Default: 50.
        state (JobState | None | Unset):
        target (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JobsView | ProblemDocument]
     """


    kwargs = _get_kwargs(
        limit=limit,
state=state,
target=target,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 50,
    state: JobState | None | Unset = UNSET,
    target: None | str | Unset = UNSET,

) -> JobsView | ProblemDocument | None:
    """ List the newest jobs.

    Args:
        limit (int | Unset):  Default: 50.
        state (JobState | None | Unset):
        target (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JobsView | ProblemDocument
     """


    return sync_detailed(
        client=client,
limit=limit,
state=state,
target=target,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 50,
    state: JobState | None | Unset = UNSET,
    target: None | str | Unset = UNSET,

) -> Response[JobsView | ProblemDocument]:
    """ List the newest jobs.

    Args:
        limit (int | Unset):  Default: 50.
        state (JobState | None | Unset):
        target (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[JobsView | ProblemDocument]
     """


    kwargs = _get_kwargs(
        limit=limit,
state=state,
target=target,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 50,
    state: JobState | None | Unset = UNSET,
    target: None | str | Unset = UNSET,

) -> JobsView | ProblemDocument | None:
    """ List the newest jobs.

    Args:
        limit (int | Unset):  Default: 50.
        state (JobState | None | Unset):
        target (None | str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        JobsView | ProblemDocument
     """


    return (await asyncio_detailed(
        client=client,
limit=limit,
state=state,
target=target,

    )).parsed
