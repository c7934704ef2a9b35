"""A verb with `--service` is the same request as a program makes, and says the same."""

import asyncio
from pathlib import Path
from typing import Any, get_args

import pytest

from replicator.cli.remote import request_for
from replicator.cli.remote_looks import quick_look
from replicator.cli.service_client import ServiceClient
from replicator.cli.terminal.console import Paper
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.cli.verb import REMOTE
from replicator.control.requests.looks import StatusRequest
from replicator.control.requests.upkeep import PauseRequest, WatchRequest
from replicator.control.requests.verbs import EVERY, AnyJob
from replicator.control.work.launch import HERE, Terminal
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
    found = request_for(command, options, places).model_dump(mode="json", by_alias=True)
    assert {name: found[name] for name in made} == made


@pytest.mark.parametrize(
    ("command", "options"),
    [("apply", {}), ("apply", {"--once": True}), ("restore", {"--pause": True}), ("run", {})],
)
def test_what_a_service_is_not_asked_for_is_refused_here(command: str, options: dict[str, Any]):
    with pytest.raises(ConfigError, match="a service cannot be asked for") as refused:
        request_for(command, options, ["standby"])
    assert "on the machine of the service" in refused.value.hint


def test_what_is_refused_is_named_with_what_can_be_asked_for():
    for options, words, hint in (
        ({"--new-log": True, "--once": True}, "`apply` with --new-log", "type it on"),
        ({}, "`apply` alone", "use --once --resume, or --catch-up; or type it on"),
        ({"--once": True}, "`apply` with --once alone", "use --once --resume, or --catch-up"),
    ):
        with pytest.raises(ConfigError, match=f"{words}$") as refused:
            request_for("apply", options, ["standby"])
        assert refused.value.hint.startswith(hint)
    with pytest.raises(ConfigError, match="--set overrules the configuration of this machine"):
        request_for("status", {"--set": ["drain_s=1"]}, [])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("apply standby --resume --once", "apply standby --resume --once --service https://a:1"),
        ("drill standby", "drill standby --service https://a:1"),
        ("drill list", "drill list --service https://a:1"),
        ("hold list", "hold list --service https://a:1"),
        ("apply standby --new-log", "apply standby --new-log --config /etc/r.yaml"),
        ("apply standby --once", "apply standby --once --config /etc/r.yaml"),
        ("run", "run --config /etc/r.yaml"),
        ("restore run a.json", "restore run a.json --config /etc/r.yaml"),
    ],
)
def test_a_command_that_is_printed_far_away_names_the_service_that_can_do_it(typed: str, said: str):
    told = PrintedCommands(config=Path("/etc/r.yaml"), environ={}, service="https://a:1")
    assert told.complete(f"type `replicator {typed}`") == f"type `replicator {said}`"
    known = PrintedCommands(config=Path("/etc/r.yaml"), environ={}, service="")
    assert known.command(typed) == f"replicator {said}".removesuffix(" --service https://a:1")


def test_a_job_never_asks_the_service_that_it_works_for():
    environ = {"REPLICATOR_SERVICE": "http://localhost:1", "REPLICATOR_TOKEN": "t", "HOME": "/"}
    assert HERE.environ(environ) == {"HOME": "/", "COLUMNS": "120", "NO_COLOR": "1"}
    asked_at = Terminal(columns=80, service="https://a:1").environ({})
    assert asked_at == {"REPLICATOR_ASKED_AT": "https://a:1", "COLUMNS": "80", "NO_COLOR": "1"}


def test_each_verb_that_a_service_does_takes_the_option():
    typed = {" ".join(word for word in one.words if not word.startswith("-")) for one in EVERY}
    assert {*get_args(get_args(AnyJob)[0])} >= {PauseRequest, StatusRequest, WatchRequest}
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
    request = request_for("verify", {}, ["standby"])
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"good": True}))
        client = ServiceClient(stage.control.url, await stage.token(Role.OPERATOR))
        job = await asyncio.to_thread(client.job, request, 80)
        assert job["document"]["result"] == {"good": True}
        assert (await asyncio.to_thread(client.text, job["id"]))["stdout"] == "said\n"
        with pytest.raises(NotFoundError, match="standbi") as caught:
            await asyncio.to_thread(client.job, request_for("verify", {}, ["standbi"]), 80)
        assert "did you mean" in caught.value.hint
        stranger = ServiceClient(stage.control.url, "drt_0_0")
        with pytest.raises(ConfigError, match="the token is wrong"):
            await asyncio.to_thread(stranger.job, request, 80)
    with pytest.raises(TransientError, match="cannot be reached"):
        await asyncio.to_thread(client.job, request, 80)
    with pytest.raises(ConfigError, match="--service"):
        ServiceClient("replicator.example:9465", "t")
