"""A verb with `--service` is the same request as a program makes, and says the same."""

import asyncio
from pathlib import Path
from typing import Any, get_args

import pytest

from replicator.cli.remote import EVERY, request
from replicator.cli.remote_looks import quick_look
from replicator.cli.service_client import ServiceClient
from replicator.cli.terminal.console import Paper
from replicator.cli.verb import REMOTE
from replicator.control.asked.looks import StatusAsked
from replicator.control.asked.upkeep import PauseAsked, WatchAsked
from replicator.control.asked.verbs import AnyJob
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.operations.access import Role
from replicator.model.operations.words import whole_time
from tests.page.made_up import made_up
from tests.page.serving import TOKEN, serving
from tests.unit.control.stage import ended, served


@pytest.mark.parametrize(
    ("command", "options", "places", "made"),
    [
        ("verify", {"--level": "rows"}, ["standby"], {"verb": "verify", "target": "standby"}),
        ("restore", {"--to-offset": 7, "--yes": True}, ["a"], {"verb": "restore", "quick": True}),
        ("restore", {"--rename": "a=b", "--latest": True}, ["a"], {"verb": "restore beside"}),
        ("restore", {"--forget-renamed": "b"}, ["a"], {"verb": "forget renamed"}),
        ("restore", {"--from": "a", "--into": "b"}, [None], {"from_store": "a", "target": None}),
        ("apply", {"--catch-up": True}, ["a"], {"verb": "apply"}),
        ("apply", {"--resume": True, "--once": True}, ["a"], {"verb": "resume"}),
        ("hold create", {"--on": "a", "--reason": "r"}, ["h"], {"name": "h", "reason": "r"}),
        ("diff", {}, ["4000", "latest"], {"before": "4000", "after": "latest"}),
    ],
)
def test_what_is_typed_is_the_request_of_its_verb(
    command: str, options: dict[str, Any], places: list[Any], made: dict[str, Any]
):
    found = request(command, options, places).model_dump(mode="json", by_alias=True)
    assert {name: found[name] for name in made} == made


@pytest.mark.parametrize(
    ("command", "options"),
    [("apply", {}), ("apply", {"--once": True}), ("restore", {"--pause": True}), ("run", {})],
)
def test_what_a_service_is_not_asked_for_is_refused_here(command: str, options: dict[str, Any]):
    with pytest.raises(ConfigError, match="a service cannot be asked for"):
        request(command, options, ["standby"])


def test_each_verb_that_a_service_does_takes_the_option():
    typed = {" ".join(word for word in one.words if not word.startswith("-")) for one in EVERY}
    assert {*get_args(get_args(AnyJob)[0])} >= {PauseAsked, StatusAsked, WatchAsked}
    assert typed - {"watch"} | {"hold list"} == REMOTE, "holds are looked at without a job"


@pytest.mark.parametrize(
    ("command", "options"),
    [("points", {"--from": "vault"}), ("points", {"--limit": 1_001}), ("blame", {})],
)
def test_what_no_look_has_seen_takes_a_job(command: str, options: dict[str, Any]):
    assert quick_look(command, options) is None


async def test_points_and_holds_are_printed_of_what_the_service_has_seen():
    made = await made_up(cuts=40, datasources=3)
    async with serving(made) as url:
        client = ServiceClient(url, TOKEN)
        texts = dict[str, str]()
        for command, options in (
            ("points", {"--limit": 3, "--all": True}),
            ("hold list", {}),
            ("hold list", {"--on": "vault"}),
        ):
            look = quick_look(command, options)
            assert look is not None
            outcome = await asyncio.to_thread(look, client)
            with Paper().capture() as shown:
                outcome.show(shown._console)
            texts[command + str(options.get("--on", ""))] = shown.get()
            if command == "points":
                assert [one["cut"] for one in outcome.result["points"]] == [38, 39, 40]
    first, *_ = texts["points"].splitlines()
    cut = made.log.closed(1)
    assert first == f"40 cuts, from {whole_time(cut.closed.source_time)} (offset {cut.offset})"
    assert "vault alone restores every cut\n  from 20" in texts["points"]
    assert "standby knows release-41" in texts["points"]
    assert "no end" in texts["hold list"]
    assert texts["hold listvault"] == "nothing is held\n"


async def test_a_client_sees_progress_results_and_problems(tmp_path: Path):
    asked = request("verify", {}, ["standby"])
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"good": True}))
        client = ServiceClient(stage.control.url, await stage.token(Role.OPERATOR))
        job = await asyncio.to_thread(client.job, asked, 80)
        assert job["document"]["result"] == {"good": True}
        assert (await asyncio.to_thread(client.text, job["id"]))["stdout"] == "said\n"
        with pytest.raises(NotFoundError, match="standbi") as caught:
            await asyncio.to_thread(client.job, request("verify", {}, ["standbi"]), 80)
        assert "did you mean" in caught.value.hint
        stranger = ServiceClient(stage.control.url, "drt_0_0")
        with pytest.raises(ConfigError, match="the token is wrong"):
            await asyncio.to_thread(stranger.job, asked, 80)
    with pytest.raises(TransientError, match="cannot be asked"):
        await asyncio.to_thread(client.job, asked, 80)
    with pytest.raises(ConfigError, match="--service"):
        ServiceClient("replicator.example:9465", "t")
