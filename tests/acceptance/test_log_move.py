"""From the file to Kafka, as an operator does it: killed on the way, and nothing is lost."""

import asyncio
from random import Random
from typing import Any

import pytest
import yaml

from tests.acceptance.test_cli import User, user
from tests.acceptance.test_killed import kafka_log
from tests.acceptance.test_store_alone import archive, edited, rows
from tests.rings import times
from tests.servers.kafka import Kafka

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("jvms")]
TARGETS = ("standby", "vault")


async def test_targets_go_on_from_kafka_and_every_point_stays(user: User, kafka_broker: Kafka):
    (user.folder / "vault").mkdir()
    edited(user, lambda found: found["targets"].update(vault=archive(user.folder)))
    held = [await cut(user, name) for name in ("1-history", "2-publish")]
    before = await points(user)
    moved = on_kafka(user, kafka_broker)
    unasked = await user.types("log", "move", "--to", str(moved.config))
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True)
    await killed_while_moving(user, moved)
    done = await user.types("log", "move", "--to", str(moved.config), "--yes")
    assert done.code == 0, done.err
    assert f"replicator run --config {moved.config}" in done.out
    left = await user.types("watch", "--once")
    assert (left.code, "was moved to Kafka's topic" in left.err) == (2, True)
    seen = await user.types("status")
    assert "was moved to Kafka's topic" in seen.out
    assert "replicator run" not in seen.out, "the former configuration can start nothing"

    held.append(await cut(moved, "3-overwrite", copied_max=8))
    after = await points(moved)
    assert after[:2] == before
    for target in TARGETS:
        proof = await moved.types("verify", target, "--level", "checksum", "--json")
        assert (proof.code, proof.result["good"]) == (0, True), proof.out
    for offset, wanted in zip((point["offset"] for point in after), held, strict=True):
        back = await moved.types("restore", "standby", "--to-offset", str(offset), "--yes")
        assert back.code == 0, back.err
        assert await rows(user.target) == wanted


async def cut(user: User, name: str, *, copied_max: int = 100) -> list[tuple[Any, ...]]:
    """Let a step be published and applied; nothing is copied that is there already."""
    await user.play(name)
    said = await user.types("watch", "--once")
    assert said.code == 0, said.err
    for target in TARGETS:
        applied = await user.types("apply", target, "--once", "--json")
        assert applied.code == 0, applied.out
        assert applied.result["objects_copied"] <= copied_max
    return await rows(user.source)


async def points(user: User) -> list[dict[str, Any]]:
    found = (await user.types("points", "--all", "--json")).result["points"]
    return [{key: one[key] for key in ("offset", "cut", "source_time")} for one in found]


def on_kafka(user: User, broker: Kafka) -> User:
    found = yaml.safe_load(user.config.read_text())
    found["log"] = kafka_log(broker, f"moved.{user.folder.name}")
    config = user.folder / "kafka.yaml"
    config.write_text(yaml.safe_dump(found))
    return User(user.folder, config, user.source, user.target, user.forks)


async def killed_while_moving(user: User, moved: User) -> None:
    """Whatever has happened until then, one log at most can be written."""
    rng = Random(16)
    for _ in range(times(3, 20)):
        running = await user.starts("log", "move", "--to", str(moved.config), "--yes")
        await asyncio.sleep(rng.uniform(0.2, 2.5))
        await running.kill()
