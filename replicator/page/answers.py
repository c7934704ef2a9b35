"""The page's data as documents; fields are only added.

`targets` limits each of them to the targets that the asker may see; None: to all.
"""

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime
from heapq import nsmallest
from typing import Any, Final

from replicator.errors import NotFoundError, ReplicatorError
from replicator.model.document import natural
from replicator.model.event import Offset
from replicator.model.store.drill import evidence_json
from replicator.page.lanes import Lane, PointMark, Promised, lane, restores
from replicator.page.outlook import outlook
from replicator.page.timeline import Neighbours, at_offset, at_time, timeline, uncounted
from replicator.services.inspection.chronicle import CutColumns, time_of
from replicator.services.inspection.happenings import Happening
from replicator.services.monitoring.trouble import Trouble
from replicator.web.panorama import Panorama, PromisedWindow
from replicator.web.status_json import error_json
from replicator.web.status_report import StatusReport, report_json

DATASOURCES_MAX: Final = 2_000
"""Datasources of one answer, those with the most bytes."""
HAPPENINGS_MAX: Final = 200
"""Cuts of one list, the newest."""


def overview_json(panorama: Panorama, targets: Collection[str] | None) -> dict[str, Any]:
    """Return the first answer, the `status` document, and all datasources and targets."""
    report = _limited(panorama.report, targets)
    answer = outlook(report)
    return {
        "now": panorama.clock.now(),
        "outlook": asdict(answer),
        "status": None if report is None else report_json(report, Trouble.typed),
        "log": _log_json(panorama),
        "stores": [_store_json(panorama, name) for name in _visible(panorama, targets)],
        "datasources": _datasources_json(panorama) if targets is None else [],
        "datasource_count": len(panorama.chronicle.datasources) if targets is None else 0,
    }


def timeline_json(
    panorama: Panorama,
    targets: Collection[str] | None,
    *,
    begins: datetime | None,
    ends: datetime | None,
    columns_max: int,
) -> dict[str, Any]:
    """Return the cuts between two times in columns, and each target's lane."""
    cuts, now = panorama.chronicle.cuts, panorama.clock.now()
    first = time_of(int(cuts.times_us[0])) if len(cuts) else None
    last = time_of(int(cuts.times_us[-1])) if len(cuts) else None
    found = timeline(cuts, begins=begins or first or now, ends=ends or now, columns_max=columns_max)
    lanes = [_lane_of(panorama, name, columns_max) for name in _visible(panorama, targets)]
    return {
        "now": now,
        "known_from": first,
        "known_to": last,
        "cuts": len(cuts),
        "begins": found.begins,
        "ends": found.ends,
        "cuts_between": found.cuts,
        "columns": [asdict(one if targets is None else uncounted(one)) for one in found.columns],
        "lanes": lanes,
    }


def moment_json(
    panorama: Panorama,
    targets: Collection[str] | None,
    *,
    time: datetime | None,
    offset: int | None,
) -> dict[str, Any]:
    """Return the cut that a time or an offset means, its neighbours, and its restoring targets.

    Raises:
        NotFoundError: there is none so early.
    """
    cuts = panorama.chronicle.cuts
    found = _meant(cuts, time=time, offset=offset)
    if found is not None and targets is not None:
        found = found.uncounted
    if found is None:
        raise NotFoundError(
            "no cut is known at or before this moment",
            hint="`replicator points` lists the cuts that can be restored",
        )
    words = {one.cut.offset: one.words for one in panorama.chronicle.happenings}
    words |= {one.cut.offset: one.words for one in panorama.chronicle.harm}
    at = Offset(found.at.offset)
    lanes = {name: panorama.notes(name) for name in _visible(panorama, targets)}
    return {
        **asdict(found),
        "what": words.get(at, "") if targets is None else "",
        "targets": [
            {
                "target": name,
                "restorable": notes is not None and restores(notes, at),
                "gaps": 0 if notes is None else notes.gap_counts.at(at),
            }
            for name, notes in lanes.items()
        ],
    }


def accidents_json(panorama: Panorama, *, datasource: str | None, harm: bool) -> dict[str, Any]:
    """Return the newest cuts that did harm, or all with a change; the newest first."""
    chronicle = panorama.chronicle
    known = (one for one in chronicle.harm if one.lost_segments) if harm else chronicle.happenings
    found = [one for one in known if datasource is None or datasource in one.harmed]
    return {"happenings": [happening_json(one) for one in reversed(found[-HAPPENINGS_MAX:])]}


def trend_json(panorama: Panorama, targets: Collection[str] | None) -> dict[str, Any]:
    """Return the lag of each target since this process started, for a day at most."""
    return {
        "targets": [
            {"target": name, "points": [asdict(one) for one in panorama.trend.points(name)]}
            for name in _visible(panorama, targets)
        ]
    }


def drills_json(panorama: Panorama, targets: Collection[str] | None) -> dict[str, Any]:
    """Return the evidence of the newest drills of each store, as `drill list` has it."""
    found = {name: panorama.notes(name) for name in _visible(panorama, targets)}
    return {
        "drills": [
            evidence_json(one)
            for notes in found.values()
            for one in (notes.drills if notes is not None else ())
        ]
    }


def happening_json(one: Happening) -> dict[str, Any]:
    """Return what one cut did; `before_offset` is the cut to go back to."""
    return {
        "cut": one.cut.closed.cut,
        "offset": one.cut.offset,
        "source_time": one.cut.closed.source_time,
        "what": one.words,
        "lost_segments": one.lost_segments,
        "datasources": list(one.harmed),
        "before_offset": one.after.offset if one.after else None,
        "before_time": one.after.closed.source_time if one.after else None,
    }


def _meant(cuts: CutColumns, *, time: datetime | None, offset: int | None) -> Neighbours | None:
    if offset is not None:
        return at_offset(cuts, offset)
    if time is not None:
        return at_time(cuts, time)
    return at_offset(cuts, int(cuts.offsets[-1])) if len(cuts) else None


def _visible(panorama: Panorama, targets: Collection[str] | None) -> list[str]:
    return [name for name in panorama.targets if targets is None or name in targets]


def _limited(report: StatusReport | None, targets: Collection[str] | None) -> StatusReport | None:
    return report if report is None or targets is None else report.of(targets)


def _log_json(panorama: Panorama) -> dict[str, Any]:
    chronicle = panorama.chronicle
    return {
        "read_until": chronicle.read_until,
        "is_read": panorama.is_read,
        "is_whole": chronicle.is_whole,
        "cuts": len(chronicle.cuts),
        "known_from": time_of(int(chronicle.cuts.times_us[0])) if len(chronicle.cuts) else None,
        "failure": _error_json(panorama.log_failure),
    }


def _store_json(panorama: Panorama, name: str) -> dict[str, Any]:
    notes = panorama.notes(name)
    return {
        "target": name,
        "archive": panorama.is_archive(name),
        "looked_at": notes.looked_at if notes else None,
        "failure": _error_json(panorama.notes_failure(name)),
        "faults": list(notes.faults) if notes else [],
        "expired_before": notes.windows.horizon if notes else 0,
        "drills": len(notes.drills) if notes else 0,
    }


def _error_json(error: ReplicatorError | None) -> dict[str, str] | None:
    return None if error is None else error_json(error)


def _datasources_json(panorama: Panorama) -> list[dict[str, Any]]:
    found = nsmallest(
        DATASOURCES_MAX,
        panorama.chronicle.datasources.items(),
        key=lambda item: (-item[1].used_bytes, item[0]),
    )
    return [
        {
            "datasource": name,
            "segments": one.used,
            "bytes": natural(one.used_bytes),
            "unused_segments": one.segments - one.used,
            "unused_bytes": natural(one.size_bytes - one.used_bytes),
            "kill_margins": _margins(panorama, name),
        }
        for name, one in found
    ]


def _margins(panorama: Panorama, datasource: str) -> dict[str, float]:
    """Return the kill margins of a datasource in seconds, by target."""
    found = dict[str, float]()
    for target, seen in panorama.poller.seen.items():
        pending = seen.status.pending
        if pending is not None and (margin := pending.kill_margins.get(datasource)) is not None:
            found[target] = margin.total_seconds()
    return found


def _lane_of(panorama: Panorama, name: str, columns_max: int) -> dict[str, Any]:
    promised, notes = panorama.promised(name), panorama.notes(name)
    found = {"target": name, "promised": None if promised is None else asdict(promised)}
    if notes is None:
        return found
    made = lane(
        notes,
        panorama.chronicle.cuts,
        promised=_promised_then(panorama, promised, notes.looked_at),
        until=panorama.clock.now(),
        columns_max=columns_max,
    )
    return found | _lane_json(made)


def _promised_then(
    panorama: Panorama, promised: PromisedWindow | None, looked_at: datetime
) -> Promised | None:
    """Return the part of the promised time, at the last look at a store, that has cuts."""
    cuts = panorama.chronicle.cuts
    if promised is None or not len(cuts):
        return None
    since = panorama.clock.now() - looked_at
    first = time_of(int(cuts.times_us[0]))
    begins = first if promised.begins is None else max(first, promised.begins - since)
    ends = promised.ends - since
    return Promised(begins=begins, ends=ends) if begins < ends else None


def _lane_json(found: Lane) -> dict[str, Any]:
    return {
        "windows": [asdict(one) for one in found.windows],
        "missed": [asdict(one) for one in found.missed],
        "gaps": [asdict(one) for one in found.gaps],
        "marks": [_mark_json(one) for one in found.marks],
        "drills": [
            {
                "at": one.ended_at,
                "good": one.is_good,
                "offset": one.rehearsed.offset if one.rehearsed else None,
                "source_time": one.rehearsed.source_time if one.rehearsed else None,
            }
            for one in found.drills
        ],
        "held_back": found.held_back,
    }


def _mark_json(one: PointMark) -> dict[str, Any]:
    point, hold = one.point, one.hold
    return {
        "kind": "point" if hold is None else "hold",
        "name": point.name,
        "offset": point.offset,
        "source_time": point.source_time,
        "reason": hold.reason if hold else "",
        "until": hold.until if hold else None,
        "expired": one.expired,
    }
