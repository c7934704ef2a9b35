"""Drills as their user meets them: a real scratch PostgreSQL, signals, kills, a store that rots."""

import asyncio
import json
import os
import select
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.acceptance.test_cli import User, user
from tests.acceptance.test_store_alone import archive, edited
from tests.servers.process import Ended
from tests.servers.stranger import gets

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

NEWEST = 21
"""The offset of the second cut."""


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that root's PostgreSQL may enter, as another user."""
    with TemporaryDirectory(prefix="drill-test-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


async def drilled(user: User, scratch: Path) -> Path:
    """Let an archive follow a source for two cuts; return where it is."""
    vault = user.folder / "vault"
    vault.mkdir()

    def change(found: dict[str, Any]) -> None:
        found["targets"].update(vault=archive(user.folder) | {"drill": {"promise": "7d"}})
        found["drill"] = {"folder": str(scratch)}

    edited(user, change)
    for name in ("1-history", "2-publish"):
        await user.play(name)
        await replicates(user)
    return vault


async def replicates(user: User) -> None:
    for verb in (("watch", "--once"), ("apply", "vault", "--once")):
        said = await user.types(*verb)
        assert said.code == 0, said.err


def files(folder: Path) -> dict[str, bytes]:
    """Return what a drill may not change; the lease of one that was killed ends by itself."""
    own = {"drills", "restores"}
    found = [path for path in folder.rglob("*") if path.is_file() and not own & set(path.parts)]
    return {str(path): path.read_bytes() for path in found}


def evidence(vault: Path) -> list[dict[str, Any]]:
    found = sorted((vault / "_replicator" / "drills").glob("*.json"))
    return [json.loads(path.read_bytes()) for path in found]


async def test_a_store_is_drilled_and_its_evidence_kept(user: User, scratch: Path):
    """Good, by chance, interrupted, killed, rotten: nothing is left but what is said."""
    vault = await drilled(user, scratch)
    before = files(vault)
    await says_that_it_was_promised(user)
    await drills_the_newest_cut(user, vault, scratch)
    await ends_on_a_signal(user, scratch)
    await cleans_up_after_a_kill(user, scratch)
    assert len(evidence(vault)) == 2
    assert files(vault) == before
    await are_left_out_while_the_last_good_one_is_young(user, vault)
    await tells_what_is_lost(user, vault, scratch)


async def says_that_it_was_promised(user: User) -> None:
    status = await user.types("status", "--json")
    assert status.code == 10
    assert broken(status) == ["drill.promise"]


async def drills_the_newest_cut(user: User, vault: Path, scratch: Path) -> None:
    """Also without source and log: the configuration of a fresh machine has the store alone."""
    alone = user.folder / "alone.yaml"
    found = yaml.safe_load(user.config.read_text())
    kept = {"targets": {"vault": found["targets"]["vault"]}, "drill": found["drill"]}
    alone.write_text(yaml.safe_dump(kept))
    said = await User(user.folder, alone, user.source, user.target, user.forks).types(
        "drill", "vault", "--json"
    )
    assert said.code == 0, said.err
    assert said.result["good"]
    assert said.result["restored"]["offset"] == NEWEST
    assert (said.result["restored"]["rows"], said.result["restored"]["objects"]) == (19, 16)
    assert evidence(vault) == [said.result]
    nothing_is_left(scratch)
    status = await user.types("status", "--json")
    assert broken(status) == []
    assert vaults(status)["last_good_drill_at"] == said.result["ended_at"]


async def ends_on_a_signal(user: User, scratch: Path) -> None:
    process = await user.starts("drill", "vault")
    await has_begun(scratch)
    ended = await process.terminate()
    assert ended.code == 130, ended.err
    assert "interrupted" in ended.out
    nothing_is_left(scratch)


async def cleans_up_after_a_kill(user: User, scratch: Path) -> None:
    """Meanwhile nobody else gets anything; after SIGKILL the server ends, and the folder next."""
    process = await user.starts("drill", "vault")
    await has_begun(scratch)
    (left,) = scratch.glob("drill-*")
    pid = int((left / "postgresql" / "postmaster.pid").read_text().splitlines()[0])
    server = os.pidfd_open(pid)
    assert gets(below=scratch, pids=[pid, process.pid]) == {}
    await process.kill()
    assert await asyncio.to_thread(select.select, [server], [], [], 30) == ([server], [], [])
    os.close(server)
    said = await user.types("drill", "vault", "--random")
    assert said.code == 0, said.err
    assert "good" in said.out
    nothing_is_left(scratch)


async def are_left_out_while_the_last_good_one_is_young(user: User, vault: Path) -> None:
    """So a daily schedule drills once a week, and again the day after a failure."""
    said = await user.types("drill", "vault", "--unless-younger", "6d", "--json")
    assert (said.code, said.result["not_due"]) == (0, True)
    assert said.result["last_good_drill_at"] == evidence(vault)[-1]["ended_at"]
    assert "needs no drill" in (await user.types("drill", "vault", "--unless-younger", "6d")).out
    wrong = await user.types("drill", "vault", "--unless-younger", "soon")
    assert (wrong.code, "--unless-younger" in wrong.err) == (2, True)
    assert len(evidence(vault)) == 2


async def tells_what_is_lost(user: User, vault: Path, scratch: Path) -> None:
    """A flipped byte is a failed proof, a missing object a gap, each with its code."""
    index = min(path for path in vault.rglob("*.smoosh") if ".replicator" not in path.parts)
    where = str(index.parent.relative_to(vault))
    data = bytearray(index.read_bytes())
    data[len(data) // 2] ^= 1
    index.write_bytes(data)
    rotten = await user.types("drill", "vault")
    assert rotten.code == 9, rotten.err
    shutil.rmtree(index.parent)
    lost = await user.types("drill", "vault")
    assert lost.code == 11, lost.err
    nothing_is_left(scratch)
    listed = await user.types("drill", "list", "vault", "--json")
    assert [one["good"] for one in listed.result["drills"]] == [False, False, True, True]
    assert all(where in one["failure"] for one in listed.result["drills"][:2])


async def has_begun(scratch: Path) -> None:
    """Wait until the scratch server is up and has its tables."""
    async with asyncio.timeout(120):
        while not list(scratch.glob("drill-*/segments")):
            await asyncio.sleep(0.02)


def nothing_is_left(scratch: Path) -> None:
    assert [path.name for path in scratch.iterdir()] == ["lock"]


def vaults(status: Ended) -> dict[str, Any]:
    found: list[dict[str, Any]] = status.result["targets"]
    return next(one for one in found if one["target"] == "vault")


def broken(status: Ended) -> list[str]:
    found: list[str] = vaults(status)["broken_promises"]
    return [promise for promise in found if promise != "rpo"]
