from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ...client import AuthenticatedClient, Client
from ...types import Response, UNSET
from ... import errors

from ...models.points_view import PointsView
from ...models.problem_document import ProblemDocument
from ...types import UNSET, Unset
from typing import cast



def _get_kwargs(
    *,
    limit: int | Unset = 20,
    all_: bool | Unset = False,
    before: int | None | Unset = UNSET,

) -> dict[str, Any]:
    

    

    params: dict[str, Any] = {}

    params["limit"] = limit

    params["all"] = all_

    json_before: int | None | Unset
    if isinstance(before, Unset):
        json_before = UNSET
    else:
        json_before = before
    params["before"] = json_before


    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}


    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/v1/points",
        "params": params,
    }


    return _kwargs



def _parse_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> PointsView | ProblemDocument:
    if response.status_code == 200:
        response_200 = PointsView.from_dict(response.json())



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



def _build_response(*, client: AuthenticatedClient | Client, response: httpx.Response) -> Response[PointsView | ProblemDocument]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 20,
    all_: bool | Unset = False,
    before: int | None | Unset = UNSET,

) -> Response[PointsView | ProblemDocument]:
    """ The restorable cuts, their gaps, and the named points.

    Args:
        limit (int | Unset):  Default: 20.
        all_ (bool | Unset): Include cuts without a change. Default: False.
        before (int | None | Unset): `earlier` of the previous answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PointsView | ProblemDocument]
     """


    kwargs = _get_kwargs(
        limit=limit,
all_=all_,
before=before,

    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)

def sync(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 20,
    all_: bool | Unset = False,
    before: int | None | Unset = UNSET,

) -> PointsView | ProblemDocument | None:
    """ The restorable cuts, their gaps, and the named points.

    Args:
        limit (int | Unset):  Default: 20.
        all_ (bool | Unset): Include cuts without a change. Default: False.
        before (int | None | Unset): `earlier` of the previous answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PointsView | ProblemDocument
     """


    return sync_detailed(
        client=client,
limit=limit,
all_=all_,
before=before,

    ).parsed

async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 20,
    all_: bool | Unset = False,
    before: int | None | Unset = UNSET,

) -> Response[PointsView | ProblemDocument]:
    """ The restorable cuts, their gaps, and the named points.

    Args:
        limit (int | Unset):  Default: 20.
        all_ (bool | Unset): Include cuts without a change. Default: False.
        before (int | None | Unset): `earlier` of the previous answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PointsView | ProblemDocument]
     """


    kwargs = _get_kwargs(
        limit=limit,
all_=all_,
before=before,

    )

    response = await client.get_async_httpx_client().request(
        **kwargs
    )

    return _build_response(client=client, response=response)

async def asyncio(
    *,
    client: AuthenticatedClient,
    limit: int | Unset = 20,
    all_: bool | Unset = False,
    before: int | None | Unset = UNSET,

) -> PointsView | ProblemDocument | None:
    """ The restorable cuts, their gaps, and the named points.

    Args:
        limit (int | Unset):  Default: 20.
        all_ (bool | Unset): Include cuts without a change. Default: False.
        before (int | None | Unset): `earlier` of the previous answer.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PointsView | ProblemDocument
     """


    return (await asyncio_detailed(
        client=client,
limit=limit,
all_=all_,
before=before,

    )).parsed
