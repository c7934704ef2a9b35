"""The log is gone, source and targets live: they go over to a new one, and lose nothing."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient

from tests.acceptance.test_cli import User, user
from tests.acceptance.test_killed import kafka_log
from tests.acceptance.test_store_alone import archive, edited, rows
from tests.rings import IS_LONG
from tests.servers.kafka import Kafka
from tests.servers.process import Ended

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

TARGETS = ("standby", "vault")


async def with_two_cuts(user: User) -> list[list[tuple[Any, ...]]]:
    """Let both targets follow; return what the source's rows were at each cut."""
    (user.folder / "vault").mkdir()
    edited(user, lambda found: found["targets"].update(vault=archive(user.folder)))
    held: list[list[tuple[Any, ...]]] = []
    for name in ("1-history", "2-publish"):
        await user.play(name)
        await published(user)
        for target in TARGETS:
            assert (await user.types("apply", target, "--once")).code == 0
        held.append(await rows(user.source))
    return held


async def published(user: User) -> None:
    said = await user.types("watch", "--once")
    assert said.code == 0, said.err


def is_in_kafka(user: User) -> bool:
    return bool(yaml.safe_load(user.config.read_text())["log"]["type"] == "kafka")


def log_of(vault: Path) -> str:
    (found,) = (vault / "_replicator" / "history").iterdir()
    return found.name


Lose: TypeAlias = Callable[[], Awaitable[None]]


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.xdist_group("jvms"))])
def lose(request: pytest.FixtureRequest, user: User) -> Lose:
    """Return what takes the log away."""
    if request.param == "kafka":
        broker: Kafka = request.getfixturevalue("kafka_broker")
        prefix = f"lost.{user.folder.name}"
        edited(user, lambda found: found.update(log=kafka_log(broker, prefix)))
        return partial(topic_deleted, broker, f"{prefix}.prod.changes")

    async def removed() -> None:
        for path in user.folder.glob("log.sqlite*"):
            path.unlink()

    return removed


async def topic_deleted(broker: Kafka, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    async with asyncio.timeout(30):
        while topic in await admin.list_topics():
            await asyncio.sleep(0.1)
    await admin.close()


async def test_targets_go_over_to_a_new_log(user: User, lose: Lose):
    first, second = await with_two_cuts(user)
    lost = log_of(user.folder / "vault")
    await lose()
    await user.play("3-overwrite", "4c-drop", "5-accident")  # a datasource is dropped and killed
    await published(user)
    await says_what_has_happened(user)
    await goes_over(user)
    assert await rows(user.target) == await rows(user.source) != second
    await user.play("4a-stream")
    await published(user)
    for target in TARGETS:
        assert (await user.types("apply", target, "--once")).code == 0
    if is_in_kafka(user) and not IS_LONG:  # of what follows stores alone know anything
        return
    await brings_back_what_was_before(user, lost, first, second)
    await lets_go_of_it(user, lost)


async def says_what_has_happened(user: User) -> None:
    """Nothing is changed before somebody says so."""
    before = await rows(user.target)
    for command in ("apply", "verify", "repair"):
        said = await user.types(command, "standby", *(["--once"] if command == "apply" else []))
        assert said.code == 9, said.out
        assert "--new-log" in said.err
    status = await user.types("status")
    assert "type: replicator apply standby --new-log" in " ".join(status.out.split())
    told = (await user.types("status", "--json")).result["targets"]
    assert [one["follows_other_log"] for one in told] == [True, True]
    assert [one["lag_records"] for one in told] == [None, None]
    assert await rows(user.target) == before


async def goes_over(user: User) -> None:
    """What the overwrite has brought is copied; all else is there and right."""
    copied = []
    for target in TARGETS:
        said = await user.types("apply", target, "--once", "--new-log", "--json")
        assert said.code == 0, said.err
        copied.append(said.result["objects_copied"])
        proof = await user.types("verify", target, "--level", "checksum", "--json")
        assert (proof.code, proof.result["good"]) == (0, True), proof.out
    assert copied[0] == copied[1]
    assert 0 < copied[0] < len(await rows(user.source))
    status = await user.types("status", "--json")
    assert [one["follows_other_log"] for one in status.result["targets"]] == [False, False]


async def brings_back_what_was_before(
    user: User, lost: str, first: list[tuple[Any, ...]], second: list[tuple[Any, ...]]
) -> None:
    """The store keeps the lost log's history, also through an expiry, and the way back is open."""
    known = await user.types("points", "--json")
    assert [one["other_logs"] for one in known.result["targets"]] == [[lost], [lost]]
    expired = await user.types("expire", "vault", "--retention", "1s", "--yes", "--json")
    assert expired.code == 0, expired.err
    points = await user.types("points", "--from", "vault", "--log", lost, "--all", "--json")
    stores = ("vault", "standby")  # another store, and the target's own, into itself
    for store, point, held in zip(stores, points.result["points"], (first, second), strict=True):
        said = await restored(user, store, lost, point["offset"])
        assert said.code == 0, said.err
        assert await rows(user.target) == held
    again = await user.types("apply", "standby", "--once", "--resume", "--new-log", "--yes")
    assert again.code == 0, again.err
    assert await rows(user.target) == await rows(user.source)
    shutil.rmtree(user.folder / "source")
    proof = await user.types("verify", "standby", "--level", "checksum", "--json")
    assert (proof.code, proof.result["good"]) == (0, True), proof.out


async def restored(user: User, store: str, log_id: str, offset: int) -> Ended:
    wanted = ("--log", log_id, "--to-offset", str(offset), "--yes")
    return await user.types("restore", "--from", store, "--into", "standby", *wanted)


async def lets_go_of_it(user: User, lost: str) -> None:
    """Without the lost log's files, what only it needed is nobody's."""
    own = user.folder / "vault" / "_replicator"
    for name in (f"about/{lost}.json", f"gaps/{lost}.json"):
        (own / name).unlink(missing_ok=True)
    for name in ("history", "bases"):
        shutil.rmtree(own / name / lost)
    young = ("--set", "targets.vault.expiry.orphan_age_min=1ms")
    expired = await user.types(
        "expire", "vault", "--retention", "1s", "--orphans", "--yes", "--json", *young
    )
    assert expired.code == 0, expired.err
    assert expired.result["orphans_removed"] > 0
    proof = await user.types("verify", "vault", "--level", "checksum", "--json")
    assert (proof.code, proof.result["good"]) == (0, True), proof.out
