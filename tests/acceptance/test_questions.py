"""Each verb that asks, at a terminal: what a person sees, read from the screen itself."""

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import yaml

from tests.acceptance.test_cli import User, ids, user
from tests.acceptance.test_signed_archive import new_key
from tests.acceptance.test_store_alone import archive, edited
from tests.servers.fake_http import Fake, serving
from tests.servers.postgresql import Postgresql
from tests.servers.terminal import CTRL_C, Terminal, at_terminal

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
__all__ = ["user"]
CHANGE = "Type the name of the target to change (standby):"
MOVE = "Type the name of the source to move (prod):"
NO_DRUID = "targets.standby.druid.coordinator_url="
VERBS: dict[str, tuple[str, Sequence[str]]] = {
    "restore": (CHANGE, ("restore", "standby", "--to-offset", "19")),
    "rollback": (CHANGE, ("rollback", "orders", "--on", "standby", "--to", "before-drop")),
    "undelete": (CHANGE, ("undelete", "orders", "--on", "standby")),
    "rename": (
        CHANGE, ("restore", "standby", "--to-offset", "19", "--rename", "orders=orders 2"),
    ),
    "plan": (CHANGE, ("restore", "run", "plan.json")),
    "repair": (CHANGE, ("repair", "standby")),
    "promote": (CHANGE, ("promote", "standby", "--set", f"{NO_DRUID}DRUID")),
    "failover": (CHANGE, ("failover", "standby", "--set", f"{NO_DRUID}DRUID")),
    "expire": (
        "Type the name of the target that loses them (standby):",
        ("expire", "standby", "--retention", "1ms"),
    ),
    "hold remove": (
        "Type the name of the hold to remove (kept):",
        ("hold", "remove", "kept", "--on", "standby"),
    ),
    "target sign": ("Type the name of the target to sign (vault):", ("target", "sign", "vault")),
    "log move": (MOVE, ("log", "move", "--to", "other.yaml")),
}  # fmt: skip
SHOWN = {
    "repair": "to copy again",
    "promote": "becomes the primary",
    "expire": "segments to delete",
    "hold remove": "the next expiry may delete",
    "target sign": "whoever wrote it",
    "log move": "prod",
}
"""What stands above the question, where it is no cut."""
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d)[;m]")


@pytest.fixture
async def prepared(user: User) -> User:
    """Everything that the verbs need: an accident, a plan, damage, and another log."""
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    found = yaml.safe_load(user.config.read_text())
    found["log"]["path"] = str(user.folder / "other.sqlite")
    (user.folder / "other.yaml").write_text(yaml.safe_dump(found))
    last = (await user.types("points", "--json")).result["last"]["offset"]
    held = ("create", "base", "--reason", "a base", "--to-offset", str(last))
    kept = ("create", "kept", "--reason", "it is asked for")
    for hold in (held, ("remove", "base", "--yes"), kept):
        assert (await user.types("hold", *hold, "--on", "standby")).code == 0
    await user.cut("2-publish")
    plan = ("restore", "plan", "standby", "--to-offset", "19", "-o", str(user.folder / "plan.json"))
    assert (await user.types(*plan)).code == 0
    (user.folder / "vault").mkdir()
    new_key(user.folder / "key.pem")
    signing = {"key_file": str(user.folder / "key.pem")}

    def change(config: Any) -> None:
        config["targets"]["standby"]["objects_missing_max"] = 0
        config["targets"]["vault"] = archive(user.folder) | {"signing": signing}

    edited(user, change)
    for path in (user.folder / "target" / "wikipedia").rglob("*.smoosh"):
        path.write_bytes(path.read_bytes()[:-1])
    return user


def typed(user: User, args: Sequence[str], druid: str) -> list[str]:
    named = {"plan.json", "other.yaml"}
    found = [str(user.folder / one) if one in named else one for one in args]
    return [*(one.replace("DRUID", druid) for one in found), "--config", str(user.config)]


Answer = Callable[[Terminal], None]


async def each_is_asked(
    user: User, columns: int, answer: Answer, *, wanted: int, environ: dict[str, str] | None = None
) -> dict[str, Terminal]:
    """Let each verb ask, look at its screen, answer, and return the screens."""
    screens: dict[str, Terminal] = {}
    async with serving(Fake(status=404)) as druid:
        for verb, (question, args) in VERBS.items():
            line = typed(user, args, druid)
            async with at_terminal(user.forks, *line, columns=columns, environ=environ) as terminal:
                await terminal.shows(question)
                assert " ".join(terminal.lines[-1].split()).endswith(question), verb
                shown = "\n".join(terminal.lines)
                assert "━" not in shown, verb
                assert SHOWN.get(verb, "cut") in shown, verb
                answer(terminal)
                assert await terminal.ended() == wanted, (verb, terminal.lines)
            screens[verb] = terminal
    return screens


async def all_there_is(user: User) -> Any:
    with sqlite3.connect(user.folder / "log.sqlite") as connection:
        log = connection.execute("SELECT epoch, end_offset FROM meta").fetchone()
    connection.close()
    bytes_ = {
        path: path.read_bytes()
        for path in sorted((user.folder / "target").rglob("*.smoosh"))
        if path.is_file()
    }
    return await ids(user.target, "orders"), log, bytes_


@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.long)])
async def test_the_question_is_the_last_thing_on_the_screen_and_enter_changes_nothing(
    prepared: User, columns: int
):
    """Of each verb: bars are gone, the plan stands above, and no line is wider than the screen."""
    before = await all_there_is(prepared)
    screens = await each_is_asked(prepared, columns, lambda one: one.types("\r"), wanted=4)
    for verb, terminal in screens.items():
        asked = {"log move": "prod", "target sign": "vault", "hold remove": "kept"}.get(
            verb, "standby"
        )
        done = "deleted" if verb == "expire" else "changed"
        assert f"nothing was {done}: '' is not '{asked}'" in terminal.text, verb
    assert await all_there_is(prepared) == before
    assert any(COLOUR.search(terminal.raw) for terminal in screens.values())


@pytest.mark.long
async def test_ctrl_c_at_the_question_changes_nothing_and_no_color_means_none(prepared: User):
    """One Ctrl-C is enough, whichever verb asks."""
    before = await all_there_is(prepared)
    answer: Answer = lambda one: one.types(CTRL_C)  # noqa: E731 - one word
    screens = await each_is_asked(prepared, 80, answer, wanted=130, environ={"NO_COLOR": "1"})
    for verb, terminal in screens.items():
        assert not COLOUR.search(terminal.raw), (verb, COLOUR.search(terminal.raw))
        done = "deleted" if verb == "expire" else "changed"
        assert f"interrupted at the question; nothing was {done}" in terminal.text, verb
        assert "goes on" not in terminal.text, verb
    assert await all_there_is(prepared) == before


@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.long)])
async def test_a_rescue_asks_before_it_makes_tables_and_before_it_writes_rows(
    user: User, postgresql: Postgresql, columns: int
):
    """Two questions, each with what it is about above it; Ctrl-C at the second writes no row."""
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    config = user.folder / "rescue.yaml"
    async with postgresql.database(None) as empty:
        settings = yaml.safe_load(user.config.read_text())["targets"]
        login = settings["standby"]["metadata"]
        url = f"{login['url'].rpartition('/')[0]}/{empty.rpartition('/')[2]}"
        rescue = {
            "metadata": login | {"url": url},
            "deep_storage": {"type": "local", "root": str(user.folder / "rescue")},
        }
        config.write_text(
            yaml.safe_dump({"targets": {"vault": settings["standby"], "rescue": rescue}})
        )
        line = ("restore", "--from", "vault", "--into", "rescue", "--before-drop", "orders")
        async with at_terminal(
            user.forks, *line, "--config", str(config), columns=columns
        ) as terminal:
            await terminal.shows("empty target to make Druid's tables in (rescue):")
            assert "rescue has no tables of a Druid yet" in terminal.text
            terminal.types("rescue\r")
            await terminal.shows("the target to change (rescue):")
            assert "the tables of Druid 33 were made" in terminal.text
            assert "orders: 8" in terminal.text
            assert "━" not in "\n".join(terminal.lines)
            terminal.types(CTRL_C)
            assert await terminal.ended() == 130, terminal.lines
            left = "at the question; the tables of Druid were made in rescue"
            assert left in terminal.text
            assert "and no row was written" in terminal.text
        assert not await ids(empty, "orders")
        listed = await user.forks.run("points", "--from", "vault", "--config", str(config))
        assert "orders: 6 of 7 marked unused" in listed.out, listed.out
        assert f"--from vault --into TARGET --to-offset OFFSET --config {config}`" in listed.out
        back = await user.forks.run(*line, "--yes", "--config", str(config), within_s=120)
        assert back.code == 0, back.err
        assert len(await ids(empty, "orders")) == 7
