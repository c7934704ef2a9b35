"""The page's routes: its files are open to everybody, its data to viewers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from replicator.control.problems import Problem
from replicator.control.routes import ApiCall, NoParameters, Reply, Route
from replicator.model.event import Offset
from replicator.model.log.wire import EVENT_TYPES
from replicator.model.operations.access import Principal, Role
from replicator.page.answers import (
    accidents_json,
    drills_json,
    moment_json,
    overview_json,
    timeline_json,
    trend_json,
)
from replicator.page.files import INDEX, PageFile, page_files
from replicator.page.timeline import COLUMNS_MAX
from replicator.services.history.reader import History
from replicator.services.inspection.log_listing import LogFilter, event_json, newest_events
from replicator.web.panorama import Panorama

RECORDS_MAX: Final = 20_000
"""Records of the log that one list of events reads at most."""
EVENTS_MAX: Final = 500
OFFSET_MAX: Final = 10**18 - 1
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
OffsetNumber = Annotated[int, Field(ge=0, le=OFFSET_MAX)]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TimelineQuery(_Query):
    """Query: which part of the timeline, and in how many columns."""

    begins: datetime | None = None
    ends: datetime | None = None
    columns: Annotated[int, Field(ge=1, le=COLUMNS_MAX)] = 300
    seen: OffsetNumber | None = None
    """Makes the URL a new one, so that the browser sends the request again."""


class MomentQuery(_Query):
    """Query: a cut by its offset or a time; default: the last one."""

    time: datetime | None = None
    offset: OffsetNumber | None = None


class AccidentsQuery(_Query):
    """Query: accidents of all datasources, or of one."""

    datasource: Text | None = None
    all: bool = False
    """Whether cuts that did no harm are listed as well."""


class EventsQuery(_Query):
    """Query: which events of the log."""

    datasource: Text | None = None
    type: Text | None = None
    before: OffsetNumber | None = None
    up_to: OffsetNumber | None = None
    limit: Annotated[int, Field(ge=1, le=EVENTS_MAX)] = 100


class PageRoutes:
    """Answers from what a panorama shows.

    Args:
        panorama: What was seen.
        history: The log, for the list of its events.
        source: Name of the source cluster.
    """

    def __init__(self, panorama: Panorama, history: History, *, source: str) -> None:
        self._panorama, self._history, self._source = panorama, history, source
        self._reading = asyncio.Lock()
        """Held while events are read: decoding those of many clients at once would hold up all."""

    def routes(self) -> list[Route]:
        """Return all of them."""
        files = [
            _route(f"/page/{name}", f"page_file_{number}", "A file of the page.", _served(file))
            for number, (name, file) in enumerate(page_files().items())
        ]
        index = page_files()[INDEX]
        return [
            _route("/", "page_root", "To the page.", _to_page),
            _route("/page/", "page", "The page.", _served(index)),
            *files,
            *self._data(),
        ]

    def _data(self) -> list[Route]:
        return [
            self._data_route("me", "Who asks, and what may be filtered by.", self._me),
            self._data_route("overview", "What one look says.", self._overview),
            self._data_route("timeline", "The cuts in columns.", self._timeline, TimelineQuery),
            self._data_route("moment", "The cut that a moment means.", self._moment, MomentQuery),
            self._data_route("accidents", "Cuts that did harm.", self._accidents, AccidentsQuery),
            self._data_route("log", "The newest events.", self._events, EventsQuery),
            self._data_route("trend", "Lag of the last day.", self._trend),
            self._data_route("drills", "Evidence of drills.", self._drills),
        ]

    def _data_route(
        self,
        name: str,
        summary: str,
        answer: Callable[[ApiCall], Awaitable[Mapping[str, Any]]],
        query: type[BaseModel] = NoParameters,
    ) -> Route:
        async def handler(call: ApiCall) -> Reply:
            return Reply(raw=_json(await answer(call)))

        return _route(
            f"/v1/page/{name}", f"page_{name}", summary, handler, role=Role.VIEWER, query=query
        )

    async def _me(self, call: ApiCall) -> Mapping[str, Any]:
        by = call.by
        return {
            "name": by.name,
            "role": by.role.value,
            "targets": None if by.targets is None else sorted(by.targets),
            "source": self._source,
            "event_types": list(EVENT_TYPES),
        }

    async def _overview(self, call: ApiCall) -> Mapping[str, Any]:
        return overview_json(self._panorama, call.by.targets)

    async def _timeline(self, call: ApiCall) -> Mapping[str, Any]:
        query = call.queried(TimelineQuery)
        return timeline_json(
            self._panorama,
            call.by.targets,
            begins=_zoned("begins", query.begins),
            ends=_zoned("ends", query.ends),
            columns_max=query.columns,
        )

    async def _moment(self, call: ApiCall) -> Mapping[str, Any]:
        query = call.queried(MomentQuery)
        time = _zoned("time", query.time)
        return moment_json(self._panorama, call.by.targets, time=time, offset=query.offset)

    async def _accidents(self, call: ApiCall) -> Mapping[str, Any]:
        query = call.queried(AccidentsQuery)
        _require_all(call.by)
        return accidents_json(self._panorama, datasource=query.datasource, harm=not query.all)

    async def _events(self, call: ApiCall) -> Mapping[str, Any]:
        query = call.queried(EventsQuery)
        _require_all(call.by)
        if query.type is not None and query.type not in EVENT_TYPES:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"query.type: there is no such event; there are {', '.join(EVENT_TYPES)}",
            )
        bars = [one for one in (query.before, _after(query.up_to)) if one is not None]
        async with self._reading:
            found = await newest_events(
                self._history,
                LogFilter(datasource=query.datasource, type=query.type),
                before=Offset(min(bars)) if bars else None,
                limit=query.limit,
                records_max=RECORDS_MAX,
            )
        return {"events": [event_json(one) for one in found.entries], "earlier": found.earlier}

    async def _trend(self, call: ApiCall) -> Mapping[str, Any]:
        return trend_json(self._panorama, call.by.targets)

    async def _drills(self, call: ApiCall) -> Mapping[str, Any]:
        return drills_json(self._panorama, call.by.targets)


def _route(
    path: str,
    operation: str,
    summary: str,
    handler: Callable[[ApiCall], Awaitable[Reply]],
    *,
    role: Role | None = None,
    query: type[BaseModel] = NoParameters,
) -> Route:
    return Route(
        method="GET",
        path=path,
        operation=operation,
        summary=summary,
        handler=handler,
        role=role,
        query=query,
        tag="page",
        hidden=True,
    )


def _served(file: PageFile) -> Callable[[ApiCall], Awaitable[Reply]]:
    headers = {"Cache-Control": "no-cache", "ETag": file.etag}

    async def handler(call: ApiCall) -> Reply:
        if call.request.headers.get("If-None-Match") == file.etag:
            return Reply(raw=web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers))
        answer = web.Response(
            body=file.content, content_type=file.content_type, charset="utf-8", headers=headers
        )
        return Reply(raw=answer)

    return handler


async def _to_page(_: ApiCall) -> Reply:
    return Reply(status=HTTPStatus.FOUND, headers={"Location": "page/"})


def _json(content: Mapping[str, Any]) -> web.Response:
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS, default=str)
    return web.Response(body=body, content_type="application/json")


def _zoned(name: str, time: datetime | None) -> datetime | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"query.{name}: it has no zone")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"query.{name}: no such time in UTC"
        ) from None


def _after(offset: int | None) -> int | None:
    return None if offset is None else offset + 1


def _require_all(principal: Principal) -> None:
    """Refuse data that is about no single target to a principal limited to some targets."""
    if principal.targets is not None:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"{principal.name} may see only {', '.join(sorted(principal.targets))}",
        )
