"""What each view shows beside what `--json` of the verbs says: every figure, in the same words.

A view is read as somebody reads it, cell by cell; its times are read from their elements, which
must show what they stand for. What a view shows is compared with a document as a whole, so a figure
that nobody expects fails as well as one that is missing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import expect

from replicator.model.operations.shown import printable
from replicator.model.operations.words import duration_text, size_text
from tests.page.browser import NONSENSE, WAIT_MS, Visit

Document = Mapping[str, Any]
SLOW_S = 120.0
"""An age may have grown by so much on a busy machine, since its document was made."""
NOTHING = "\u2013"
"""What the page shows where there is no figure."""
UNITS_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "days": 86_400.0}
READ = """root => {
    const times = [];
    const copy = root.cloneNode(true);
    for (const hidden of copy.querySelectorAll(".plot, button, .sr")) hidden.remove();
    for (const one of copy.querySelectorAll("time")) {
        times.push([one.getAttribute("datetime"), one.textContent]);
        one.textContent = `@${new Date(one.getAttribute("datetime")).toISOString()}`;
    }
    const text = one => one.textContent.replaceAll(/\\s+/g, " ").trim();
    const cells = row => [...row.children].map(text);
    const facts = within => Object.fromEntries([...within.querySelectorAll(".fact")].map(
        one => [text(one.querySelector("dt")), text(one.querySelector("dd"))]));
    return {
        times,
        text: text(copy),
        rows: [...copy.querySelectorAll("table.list")].map(
            table => [...table.querySelectorAll("tbody tr")].map(cells)),
        facts: facts(copy),
        cards: [...copy.querySelectorAll("article.target")].map(card => ({
            title: text(card.querySelector("h3")),
            facts: facts(card),
            promises: [...card.querySelectorAll(".promises tbody tr")].map(cells),
        })),
        evidence: [...copy.querySelectorAll("details.evidence")].map(one => ({
            summary: cells(one.querySelector("summary")),
            facts: facts(one),
            steps: [...one.querySelectorAll("tbody tr")].map(cells),
        })),
        wrong: [...copy.querySelectorAll(".wrong li")].map(cells),
        lanes: [...root.querySelectorAll(".lane")].map(lane => ({
            target: lane.querySelector(".lane-name bdi").textContent,
            said: [...lane.querySelectorAll("[title]")].map(one => one.title),
        })),
    };
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What the verbs print."""

    status: Document
    points: Document
    """With `--all`, of enough cuts."""
    holds: Document
    drills: Document


async def read(guest: Visit, selector: str = "main") -> dict[str, Any]:
    """Return what a part of the page shows; each of its times shows what it stands for."""
    found: dict[str, Any] = await guest.page.locator(selector).evaluate(READ, timeout=WAIT_MS)
    now: str = await guest.page.evaluate(
        "async () => new Date((await import('./words.js')).nowMs()).toISOString()"
    )
    assert not NONSENSE.search(found["text"]), found["text"]
    for told, text in found["times"]:
        _is_shown(told, text, datetime.fromisoformat(now))
    return found


def count(number: int) -> str:
    """Return a number as the page writes it: a thin space each three digits."""
    return f"{number:,}".replace(",", " ")  # the thin space is white space, as it is read


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def duration(seconds: float | None) -> str:
    """Return a duration as the command line writes it."""
    return NOTHING if seconds is None else duration_text(timedelta(seconds=seconds))


def at(told: object) -> str:
    """Return a time as `read` has it."""
    return f"@{_time(told).isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"


async def overview_is(guest: Visit, said: Documents, *, lag_s: Mapping[str, float]) -> None:
    """Compare the overview; lags grow while one looks, so they are told apart."""
    await guest.go("overview")
    await guest.page.locator(".timeline .lanes").wait_for(timeout=WAIT_MS)
    found, status = await read(guest), said.status
    restorable = {one["target"]: one for one in status["restorable"]}
    best = max(restorable.values(), key=_reach)
    assert f"Yes, you can restore to {at(best['last'])}" in found["text"]
    assert f"any moment since {at(best['first'])}" in found["text"]
    assert [_lasting(one) for one in found["wrong"]] == [
        _lasting([printable(one["what"]), *([_short(one["type"])] if one["type"] else [])])
        for one in status["wrong"]
    ]
    appliers = {one["target"]: one["state"] for one in status["running"]["appliers"]}
    for shown, target in zip(found["cards"], status["targets"], strict=True):
        name = target["target"]
        assert shown["title"].startswith(name)
        assert shown["facts"] == _facts(target, restorable.get(name), appliers.get(name))
        promises = {row[0]: row[1:] for row in shown["promises"]}
        _is_lag(promises["lag"][0], target["lag_seconds"], lag_s[name])
        assert {**promises, "lag": promises["lag"][1:]} == dict(_promises(target))
    assert found["rows"] == ([canaries(status["canaries"])] if status["canaries"] else [])
    cuts, last = said.points["cuts"], status["log"]["last_cut_source_time"]
    assert f"The log has {counted(cuts, 'cut')}, the last one taken {at(last)}" in found["text"]
    assert f"Watcher: {status['running']['watcher']['state']}." in found["text"]
    _lanes_are(found["lanes"], said)


def _lasting(words: Sequence[str]) -> list[str]:
    """Return words without how long something has lasted: it goes on while one looks."""
    return [re.sub(r"[0-9.]+ (s|min|h|days)\b", "…", one) for one in words]


def _short(typed: str) -> str:
    """Return a command without its configuration: the page does not know what one types there."""
    return re.sub(r" (-c|--config) \S+", "", typed)


def _reach(one: Document) -> tuple[datetime, int, float]:
    """Return what makes a target the better answer: how far, without holes, since when."""
    return _time(one["last"]), -one["windows"], -_time(one["first"]).timestamp()


def _facts(target: Document, restorable: Document | None, applier: str | None) -> dict[str, str]:
    alone = "nothing yet"
    if restorable is not None:
        alone = f"{at(restorable['first'])} to {at(restorable['last'])}"
        if restorable["windows"] > 1:
            alone += f" with {counted(restorable['windows'] - 1, 'hole')}"
    cut = NOTHING if target["cut"] is None else f"{count(target['cut'])} offset {target['offset']}"
    waits = "nothing"
    if target["pending_objects"]:
        segments, size = target["pending_objects"], size_text(target["pending_bytes"])
        waits = f"{counted(segments, 'segment')}, {size}"
        if target["catch_up_seconds"] is not None:
            waits += f" about {duration(target['catch_up_seconds'])}"
    verified = ", ".join(
        f"{level} {at(time)}" for level, time in target["last_verified_at"].items()
    )
    return {
        "Restorable": alone,
        "At cut": cut,
        "Waiting": waits,
        "Gaps": counted(target["gap_count"], "row") if target["gap_count"] else "none",
        "Verified": verified or "never",
        "Applier": applier or NOTHING,
    }


def _promises(target: Document) -> Iterator[tuple[str, list[str]]]:
    def state(name: str) -> str:
        return "broken" if name in target["broken_promises"] else "kept"

    yield "lag", [f"≤ {duration(target['rpo_seconds'])}", state("rpo")]
    for title, member, least, nothing in (
        ("kill margin", "kill_margin", "kill_margin_min", "nothing waits"),
        ("log margin", "log_retention_margin", "log_margin_min", "keeps all"),
    ):
        if (promised := target[f"{least}_seconds"]) > 0:
            now = target[f"{member}_seconds"]
            shown = nothing if now is None else duration(now)
            yield title, [shown, f"≥ {duration(promised)}", state(least)]
    if (promised := target["drill_promise_seconds"]) is not None:
        last = target["last_good_drill_at"]
        shown = at(last) if last else "none yet"
        yield "drill", [shown, f"each {duration(promised)}", state("drill.promise")]


def canaries(told: Sequence[Document]) -> list[list[str]]:
    """Return the rows of the canaries' table."""
    return [
        [
            one["target"],
            one["datasource"],
            *(duration(one[name]) for name in ("p50_s", "p95_s", "p99_s")),
            *(count(one[name]) for name in ("arrived", "lost")),
            duration(one["waiting_s"]) if one["waiting_s"] else NOTHING,
            at(one["last_arrival_at"]) if one["last_arrival_at"] else "none yet",
        ]
        for one in told
    ]


def _lanes_are(lanes: Sequence[Document], said: Documents) -> None:
    """Compare windows, points, holds and drills of the timeline; gaps as far as there are any."""
    for shown, kept in zip(lanes, said.points["targets"], strict=True):
        name = kept["target"]
        assert shown["target"] == name
        told = [one for one in shown["said"] if one.startswith("restorable from")]
        assert told == [
            f"restorable from {_clock(one['first']['source_time'])} to"
            f" {_clock(one['last']['source_time'])}"
            for one in kept["windows"]
        ]
        holds = [one for one in said.holds["holds"] if one["target"] == name]
        marks = [one for one in shown["said"] if re.match("point |hold ", one)]
        assert sorted(marks) == sorted(
            [
                *(f"point {one['name']}{', expired' * one['expired']}" for one in kept["named"]),
                *(
                    f"hold {one['name']}: {one['reason']}{', expired' * (not one['in_force'])}"
                    for one in holds
                ),
            ]
        )
        drilled = [one for one in shown["said"] if one.startswith("drilled")]
        assert drilled == [
            f"drilled {_clock(one['ended_at'])}: {'good' if one['good'] else 'went wrong'}"
            for one in said.drills["drills"]
            if one["target"] == name and one["restored"]
        ]
        assert any(re.search(r"rows? missing", one) for one in shown["said"]) == bool(kept["gaps"])


async def plan_is(guest: Visit, plan: Document) -> None:
    """Compare a plan with what `restore plan` prints, or an undelete's with its dry run."""
    await guest.page.locator(".facts.big").wait_for(timeout=WAIT_MS)
    found = (await read(guest))["facts"]
    quick = plan.get("plan")
    shown: Document = quick or plan
    cut = shown if quick else shown["cut"]
    segments, removed = counted(shown["segments"], "segment"), count(shown["rows_removed"])
    places = counted(shown["objects" if quick else "objects_to_copy"], "location")
    size = size_text(shown["bytes_at_most" if quick else "bytes_to_copy"])
    assert found["Back to"] == (
        f"{at(cut['source_time'])} cut {count(cut['cut'])}, offset {cut['offset']}"
    )
    rows = f"{segments} to write, {count(shown['other_rows'])} other rows, {removed} to remove"
    assert found["Rows"] == rows
    if quick or not shown["looked"]:
        assert found["To copy"] == f"{size} in {places} at most: nobody looked"
    else:
        there = f"{count(shown['objects_there'])} are there already"
        assert found["To copy"] == f"{size} in {places}; {there}"
    if not quick:
        reads, writes = (count(shown["requests"][one]) for one in ("get", "put"))
        assert found["Requests"] == f"{reads} that read, {writes} that write"


async def points_are(guest: Visit, said: Documents) -> None:
    """Compare the lists of named points and of holds."""
    await guest.go("points")
    await guest.page.get_by_role("heading", name="Holds", exact=True).wait_for(timeout=WAIT_MS)
    found = await read(guest)
    named = [
        [
            *(one["name"], kept["target"], at(one["source_time"])),
            *(count(one["cut"]), str(one["offset"])),
            "expired" if one["expired"] else "restorable",
            "",
        ]
        for kept in said.points["targets"]
        for one in kept["named"]
    ]
    holds = [
        [
            *(one["name"], one["target"], at(one["source_time"])),
            *(count(one["cut"]), str(one["offset"])),
            ("no end" if one["until"] is None else at(one["until"]))
            + " ended" * (not one["in_force"]),
            one["reason"],
            "",
        ]
        for one in said.holds["holds"]
    ]
    assert found["rows"] == [rows for rows in (named, holds) if rows]


async def drills_are(guest: Visit, said: Documents) -> None:
    """Compare each drill with its evidence."""
    await guest.go("drills")
    drills = said.drills["drills"]
    await expect(guest.page.locator("details.evidence")).to_have_count(len(drills))
    found = await read(guest)
    for shown, one in zip(found["evidence"], drills, strict=True):
        restored, druid = one["restored"], one["druid"]
        took = _time(one["ended_at"]) - _time(one["started_at"])
        cut = f"cut {count(restored['cut'])} of {at(restored['source_time'])}"
        assert shown["summary"] == [
            "good" if one["good"] else "went wrong",
            one["target"],
            f"{cut} · {at(one['ended_at'])}",
            f"recovered in {duration(one['recovery_seconds'])}",
        ]
        assert shown["facts"] == {
            "Began": at(one["started_at"]),
            "Took": duration_text(took),
            "Rows": f"{count(restored['rows'])} {count(restored['segments'])} segments",
            "Bytes checked": f"{count(restored['objects'])} locations",
            "Digest": restored["digest"],
            "Druid": "none tried"
            if druid is None
            else f"{druid['release']} served {count(druid['segments'])} segments,"
            f" {count(druid['rows'])} rows",
            "Program": one["program"],
        }
        assert shown["steps"] == [
            [
                step["step"],
                duration(step["seconds"]),
                NOTHING if step["bytes"] is None else size_text(step["bytes"]),
            ]
            for step in one["steps"]
        ]


async def log_is(guest: Visit, events: Sequence[Document]) -> None:
    """Compare the newest events, the newest first."""
    await guest.go("log")
    await expect(guest.page.locator("tbody tr")).to_have_count(len(events))
    found = await read(guest)
    assert found["rows"] == [
        [
            [
                str(one["offset"]),
                at(one["time"]),
                one["type"],
                one["detail"],
                printable(
                    f"cut {one['subject']}" if one["type"] == "cut.closed" else one["subject"]
                ),
            ]
            for one in events
        ]
    ]


async def datasources_are(
    guest: Visit, used: Mapping[str, tuple[int, int, int, int]], status: Document
) -> None:
    """Compare the datasources: used segments and bytes, unused ones, and each target's margin.

    Args:
        guest: Looks.
        used: What each datasource has: segments, bytes, unused segments, their bytes.
        status: Has the margins.
    """
    await guest.go("datasources")
    await expect(guest.page.locator("tbody tr")).to_have_count(len(used))
    found = await read(guest)
    margins = dict[str, list[tuple[float, str]]]()
    for target in status["targets"]:
        for one in target["kill_margins"]:
            margins.setdefault(one["datasource"], []).append((one["seconds"], target["target"]))
    ordered = sorted(used.items(), key=lambda one: (-one[1][1], one[0]))
    assert found["rows"] == [
        [
            [
                printable(name),
                count(segments),
                size_text(size),
                f"{count(unused)} {size_text(unused_size)}" if unused else NOTHING,
                " ".join(
                    f"{duration(seconds) if seconds > 0 else 'any moment'} {target}"
                    for seconds, target in sorted(margins.get(name, []))
                )
                or "nothing waits",
            ]
            for name, (segments, size, unused, unused_size) in ordered
        ]
    ]
    total = sum(one[0] for one in used.values()), sum(one[1] for one in used.values())
    assert (
        f"{counted(len(used), 'datasource')}, {counted(total[0], 'used segment')},"
        f" {size_text(total[1])} unpacked" in found["text"]
    )


async def schedules_are(guest: Visit, status: Document) -> None:
    """Compare what is done by itself."""
    await guest.go("jobs")
    await guest.page.get_by_role("heading", name="Jobs", exact=True).wait_for(timeout=WAIT_MS)
    found = await read(guest)
    expected = [
        [
            f"{one['schedule']} {one['type']}, {one['cron']} {one['time_zone']}",
            one["target"],
            _run(one["last"]),
            at(one["next_due"]),
        ]
        for one in status["schedules"]
    ]
    assert found["rows"][: len(expected) > 0] == ([expected] if expected else [])


def _run(last: Document | None) -> str:
    if last is None:
        return "none yet"
    ended = last["ended_at"] or last["started_at"]
    return f"{last['state']} {at(ended)} {printable(last['message'])}".strip()


def _is_shown(told: str, text: str, now: datetime) -> None:
    """Refuse a time that is not shown as what it stands for."""
    time = _time(told)
    if not text.endswith(" ago"):
        text = text.removesuffix(" UTC")
        assert text in {_clock(told), f"{_clock(told)}.{time.microsecond // 1000:03}"}, (told, text)
        return
    _is_near(text.removesuffix(" ago"), (now - time).total_seconds())


def _is_lag(text: str, told_s: float | None, now_s: float) -> None:
    if told_s is None:
        assert text == NOTHING
    else:
        _is_near(text, max(told_s, now_s))


def _is_near(text: str, seconds: float) -> None:
    number, unit = text.split()
    shown_s = float(number) * UNITS_S[unit.rstrip(",")]
    assert abs(shown_s - seconds) <= UNITS_S[unit] + SLOW_S, (text, seconds)


def _time(told: object) -> datetime:
    return datetime.fromisoformat(str(told)).astimezone(UTC)


def _clock(told: object) -> str:
    return f"{_time(told):%Y-%m-%d %H:%M:%S}"
