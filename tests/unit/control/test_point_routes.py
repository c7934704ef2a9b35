"""What can be restored and what is held is answered from what was seen, page by page, at once."""

import asyncio
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from replicator.errors import TransientError
from replicator.model.checkpoint import OBJECT_MISSING, Gap
from replicator.model.event import Offset
from replicator.model.operations.access import Principal, Role
from replicator.services.inspection.points_report import gap_counts, gaps_at
from replicator.services.monitoring.poller import Failure
from replicator.web import notes as notes_of
from tests.page.made_up import MadeUp, broken, documents, made_up
from tests.page.made_up_log import NOW
from tests.page.serving import OPERATOR, TOKEN, serving

LIMITED = Principal(name="eve", role=Role.VIEWER, targets=frozenset({"standby"}))
CUTS = 1_300


@pytest.fixture(scope="module")
def made() -> MadeUp:
    return asyncio.run(made_up(cuts=CUTS, datasources=5))


async def asked(made: MadeUp, path: str, *, principal: Principal = OPERATOR) -> tuple[int, Any]:
    async with serving(made, principal) as url, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with session.get(f"{url}/v1/{path}", headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


async def test_all_cuts_are_listed_page_by_page_and_none_twice(made: MadeUp):
    listed, query = list[dict[str, Any]](), "points?limit=500&all=true"
    while True:
        status, found = await asked(made, query)
        assert status == 200
        listed = [*found["result"]["points"], *listed]
        if found["earlier"] is None:
            break
        query = f"points?limit=500&all=true&before={found['earlier']}"
    assert [one["cut"] for one in listed] == list(range(1, CUTS + 1))
    result = found["result"]
    assert (result["cuts"], result["first"]["cut"], result["last"]["cut"]) == (CUTS, 1, CUTS)
    assert [one["offset"] for one in listed] == [
        made.log.closed(number).offset for number in range(1, CUTS + 1)
    ]
    assert listed[-1]["what"] != ""


async def test_cuts_without_a_change_are_left_out_unless_asked_for(made: MadeUp):
    _, found = await asked(made, "points?limit=1000")
    changed = [one["cut"] for one in found["result"]["points"]]
    _, every = await asked(made, "points?limit=1000&all=true")
    assert all(one["events"] for one in found["result"]["points"])
    assert [one["cut"] for one in every["result"]["points"] if one["events"]] == [
        one for one in changed if one > CUTS - 1000
    ]


async def test_gaps_windows_and_names_are_those_of_each_store(made: MadeUp):
    _, found = await asked(made, "points?limit=1000&all=true")
    standby, vault = found["result"]["targets"]
    assert (standby["target"], vault["target"]) == ("standby", "vault")
    notes = made.panorama.notes("vault")
    assert notes is not None
    assert [one["from_offset"] for one in vault["gaps"]] == [one.opened for one in notes.gaps]
    assert [one["first"]["offset"] for one in vault["windows"]] == [
        one.first.offset for one in notes.windows.windows
    ]
    gaps = {one["offset"]: one["gaps"]["vault"] for one in found["result"]["points"]}
    assert gaps == {at: sum(one.at(at) for one in notes.gaps) for at in gaps}
    assert set(gaps.values()) != {0}
    assert vault["checkpoint_offset"] == made.log.closed(CUTS - 6).offset


async def test_an_answer_lists_the_newest_gaps_and_how_many_there_are(
    made: MadeUp, monkeypatch: pytest.MonkeyPatch
):
    """20,000 of them are 5 MB, for each request of a viewer."""
    notes = made.panorama.notes("vault")
    assert notes is not None
    one = Gap(key="a", datasource="wiki", reason=OBJECT_MISSING, detail="", opened=Offset(0))
    many = replace(notes, gaps=tuple(replace(one, opened=Offset(at)) for at in range(300)))
    monkeypatch.setattr(made.panorama, "notes", lambda _: many)
    _, found = await asked(made, "points?limit=1")
    vault = found["result"]["targets"][1]
    assert vault["gap_count"] == 300
    assert [one["from_offset"] for one in vault["gaps"]] == list(range(100, 300))


def test_how_many_gaps_a_cut_has_costs_no_look_at_each():
    """20,000 gaps and a thousand cuts held up `run` for a second, for each request of a viewer."""

    class Counted(Gap):
        looked = 0

        def at(self, offset: Offset) -> bool:
            Counted.looked += 1
            return super().at(offset)

    spans = [(5, None), (5, 9), (7, 7), (8, 6), (0, 1), (9, 20)]
    gaps = [
        Counted(
            key=str(number), datasource="wiki", reason=OBJECT_MISSING, detail="",
            opened=Offset(opened), closed=None if closed is None else Offset(closed),
        )
        for number, (opened, closed) in enumerate(spans)
    ]  # fmt: skip
    counts = gap_counts({"standby": gaps})
    found = [gaps_at(offset, counts)["standby"] for offset in range(25)]
    assert Counted.looked == 0
    assert found == [sum(one.at(Offset(offset)) for one in gaps) for offset in range(25)]


async def test_a_token_for_some_targets_sees_no_other_and_not_what_happened(made: MadeUp):
    status, found = await asked(made, "points", principal=LIMITED)
    assert status == 200
    assert [one["target"] for one in found["result"]["targets"]] == ["standby"]
    assert {one["what"] for one in found["result"]["points"]} == {""}
    assert found["result"]["last"]["gaps"].keys() == {"standby"}
    status, found = await asked(made, "holds", principal=LIMITED)
    assert {one["target"] for one in found["result"]["holds"]} == {"standby"}
    assert (await asked(made, "holds?target=vault", principal=LIMITED))[0] == 403


async def test_a_token_for_some_targets_sees_that_a_cut_changed_something_and_not_how_much(
    made: MadeUp, monkeypatch: pytest.MonkeyPatch
):
    cuts = made.panorama.chronicle.cuts
    monkeypatch.setattr(made.panorama.chronicle, "_cuts", replace(cuts, events=cuts.events * 7))
    for principal, events in ((OPERATOR, {7}), (LIMITED, {1})):
        _, found = await asked(made, "points?limit=1000", principal=principal)
        assert {one["events"] for one in found["result"]["points"]} == events


async def test_holds_are_those_of_one_store_or_of_all(made: MadeUp):
    notes = made.panorama.notes("standby")
    assert notes is not None
    names = [one.point.name for one in notes.holds]
    assert names != []
    for query, expected in (("holds", names), ("holds?target=standby", names)):
        status, found = await asked(made, query)
        assert (status, [one["name"] for one in found["result"]["holds"]]) == (200, expected)
    assert (await asked(made, "holds?target=vault"))[1]["result"]["holds"] == []
    status, problem = await asked(made, "holds?target=vualt")
    assert (status, problem["hint"]) == (404, "did you mean 'vault'? Names are exact")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("points?limit=0", "limit"),
        ("points?limit=1001", "limit"),
        ("points?before=-1", "before"),
        ("points?all=perhaps", "all"),
        ("points?other=1", "other"),
        ("holds?limit=1", "limit"),
    ],
)
async def test_what_is_no_request_is_refused_with_its_member(made: MadeUp, path: str, field: str):
    status, problem = await asked(made, path)
    assert (status, problem["faults"][0]["field"]) == (422, field)


async def test_a_log_that_is_still_read_and_a_store_that_is_away_are_said_to_be_so():
    made = await made_up(cuts=20, datasources=2)
    panorama = made.panorama
    panorama.is_read = False
    status, problem = await asked(made, "points")
    assert (status, problem["hint"]) == (503, "ask again in a moment")
    assert (await asked(made, "holds"))[0] == 200
    panorama.is_read, panorama.log_failure = True, TransientError("no broker answers", hint="wait")
    status, problem = await asked(made, "points")
    assert (status, problem["detail"]) == (503, "no broker answers")
    panorama.log_failure = None
    panorama._notes["vault"].failure = TransientError("nobody is there", hint="wait")
    for path in ("points", "holds"):
        status, said = await asked(made, path)
        assert status == 200, "one target that is away hides none of the others"
        (away,) = said["result"]["failures"]
        assert (away["target"], away["type"], away["hint"]) == ("vault", "TransientError", "wait")
    status, problem = await asked(made, "holds?target=vault")
    assert (status, problem["type"]) == (503, "TransientError")
    assert "'vault'" in problem["detail"]
    assert (await asked(made, "holds?target=standby"))[0] == 200


async def test_what_this_service_changed_is_looked_at_before_the_answer(
    monkeypatch: pytest.MonkeyPatch,
):
    """Whoever makes a hold and lists the holds must find it."""
    monkeypatch.setattr(notes_of, "PAUSE_MIN_S", 3600.0)
    made = await made_up(cuts=5, datasources=2)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(made.panorama.run(stop))
        assert [one["name"] for one in (await asked(made, "holds"))[1]["result"]["holds"]] != []
        made.panorama.refresh(["vault"])
        assert [one["name"] for one in (await asked(made, "holds"))[1]["result"]["holds"]] != []
        made.panorama.refresh(["standby"])  # whose store is empty in truth
        assert (await asked(made, "holds"))[1]["result"]["holds"] == []
        stop.set()


async def test_status_is_the_document_that_the_page_shows_and_the_command_line_prints():
    made = await made_up(cuts=40, datasources=3)
    status, found = await asked(made, "status")
    assert (status, found["schema"], found["command"]) == (200, "replicator.v1", "status")
    assert found["result"] == documents(made).status
    _, page = await asked(made, "page/overview")
    assert page["status"] == found["result"]
    status, found = await asked(made, "status", principal=LIMITED)
    assert [one["target"] for one in found["result"]["targets"]] == ["standby"]
    broken(made.panorama, Failure(since=NOW, error=TransientError("it is away", hint="wait")))
    _, found = await asked(made, "status")
    (failure,) = found["result"]["failures"]
    assert failure["what"] == "target vault"
    assert failure["since"] == NOW.isoformat().replace("+00:00", "Z")
    assert "vault cannot be looked at: it is away" in str(found["result"]["wrong"])
