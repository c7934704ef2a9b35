"""`repair` as its user meets it: on folders, on S3, with a process that is killed."""

from pathlib import Path

import pytest
import yaml

from tests.acceptance.test_cli import User, ids, killed, user
from tests.contract.storages import fresh
from tests.rings import times
from tests.servers.postgresql import Postgresql, execute
from tests.servers.stores import S3, S3_KEY, S3_SECRET

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("stores")]
__all__ = ["user"]
KILLED_AFTER_S = [0.05 * number for number in range(1, times(3, 12) + 1)]


def flip(path: Path) -> None:
    """One bit, as a disk does it: size, name and attributes stay."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def smooshes(folder: Path) -> list[Path]:
    return sorted(folder.rglob("00000.smoosh"))


async def test_what_verify_names_is_copied_again(user: User):
    await user.cut("1-history")
    target, source = user.folder / "target", user.folder / "source"
    altered, gone, *_ = smooshes(target)
    flip(altered)
    gone.unlink()
    await execute(user.target, "DELETE FROM druid_segments WHERE datasource = 'orders'")
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 9
    looked = await user.types("repair", "standby", "--dry-run", "--json")
    assert looked.code == 9
    assert (looked.result["plan"]["damaged_count"], looked.result["done"]) == (2, False)
    unasked = await user.types("repair", "standby")
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True)
    done = await user.types("repair", "standby", "--yes", "--json")
    assert (done.code, done.result["objects_copied"], done.result["unmended"]) == (0, 2, [])
    assert done.result["rows_changed"] == len(await ids(user.source, "orders"))
    assert altered.read_bytes() == (source / altered.relative_to(target)).read_bytes()
    proof = await user.types("verify", "standby", "--level", "checksum")
    assert proof.code == 0, proof.out
    again = await user.types("repair", "standby", "--yes")
    assert (again.code, "nothing to repair" in again.out) == (0, True)
    await user.cut("2-publish")


async def test_what_cannot_be_had_is_named_and_the_exit_code_says_so(user: User):
    await user.cut("1-history")
    target, source = user.folder / "target", user.folder / "source"
    first, second, *_ = smooshes(target)
    for path in (first, second):
        flip(path)
    flip(source / first.relative_to(target))
    partly = await user.types("repair", "standby", "--yes", "--json")
    assert (partly.code, partly.result["objects_copied"]) == (3, 1)
    (left,) = partly.result["unmended"]
    assert "other bytes now" in left["why_not"]
    assert (await user.types("repair", "standby", "--yes")).code == 9
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 9
    assert (await user.types("repair", "standby", "--from", "standby", "--yes")).code == 2
    assert (await user.types("repair", "standby", "--from", "nobody", "--yes")).code == 6


async def test_one_datasource_or_interval_by_its_name(user: User):
    await user.cut("1-history")
    for path in smooshes(user.folder / "target"):
        flip(path)
    all_ = (await user.types("repair", "standby", "--dry-run", "--json")).result["plan"]
    some = ("--datasource", "orders", "--json")
    orders = (await user.types("repair", "standby", "--yes", *some)).result
    assert 0 < orders["objects_copied"] < all_["damaged_count"]
    assert {one["datasource"] for one in orders["plan"]["damaged"]} == {"orders"}
    left = [one for one in all_["damaged"] if one["datasource"] != "orders"]
    chosen = left[0]["interval"]
    within = (await user.types("repair", "standby", "--yes", "--interval", chosen, "--json")).result
    assert {one["interval"] for one in within["plan"]["damaged"]} == {chosen}
    assert (await user.types("verify", "standby", "--datasource", "orders")).code == 0
    assert (await user.types("repair", "standby", "--interval", "yesterday")).code == 2


@pytest.fixture
def bucket(user: User, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The target's bucket, as the folder in which versitygw keeps it."""
    name = fresh("repair")
    folder = s3.bucket(name)
    found = yaml.safe_load(user.config.read_text())
    found["targets"]["standby"]["deep_storage"] = {
        "type": "s3", "bucket": name, "prefix": "druid/segments",
        "endpoint_url": s3.url, "path_style": True,
        "access_key_id_env": "S3_ID", "secret_access_key_env": "S3_KEY",
    }  # fmt: skip
    user.config.write_text(yaml.safe_dump(found))
    monkeypatch.setenv("S3_ID", S3_KEY)
    monkeypatch.setenv("S3_KEY", S3_SECRET)
    return folder


async def test_a_flipped_bit_in_a_bucket_is_put_right(user: User, bucket: Path):
    await user.cut("1-history")
    altered, gone, *_ = sorted((bucket / "druid" / "segments").rglob("index.zip"))
    whole = altered.read_bytes()
    flip(altered)
    gone.unlink()
    assert (await user.types("verify", "standby", "--level", "exists")).code == 9
    done = await user.types("repair", "standby", "--yes", "--json")
    assert (done.code, done.result["objects_copied"]) == (0, 2), done.err
    assert altered.read_bytes() == whole
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0


async def test_a_repair_from_another_target(user: User, bucket: Path, postgresql: Postgresql):
    """The source has killed it: the second target, in another kind of storage, has it still."""
    async with postgresql.database() as database:
        found = yaml.safe_load(user.config.read_text())
        (user.folder / "second").mkdir()
        metadata = dict(found["targets"]["standby"]["metadata"])
        url = metadata["url"].rpartition("/")[0]
        metadata["url"] = f"{url}/{database.rpartition('/')[2]}"
        found["targets"]["second"] = {
            "metadata": metadata,
            "deep_storage": {"type": "local", "root": str(user.folder / "second")},
        }
        user.config.write_text(yaml.safe_dump(found))
        await user.cut("1-history")
        assert (await user.types("apply", "second", "--once")).code == 0
        for path in smooshes(user.folder / "source"):
            path.unlink()
        altered, *_ = sorted((bucket / "druid" / "segments").rglob("index.zip"))
        whole = altered.read_bytes()
        flip(altered)
        assert (await user.types("repair", "standby", "--yes")).code == 9
        done = await user.types("repair", "standby", "--from", "second", "--yes", "--json")
        assert (done.code, done.result["objects_copied"]) == (0, 1), done.out
        assert altered.read_bytes() == whole


async def test_sigkill_at_any_moment_repeats_work_and_loses_none(user: User):
    await user.cut("1-history")
    paths = smooshes(user.folder / "target")
    for wait_s in KILLED_AFTER_S:
        for path in paths:
            flip(path)
        process = await user.starts("repair", "standby", "--yes")
        await killed(process, after_s=wait_s)
        done = await user.types("repair", "standby", "--yes", "--json")
        assert done.code == 0, done.out
        paths = smooshes(user.folder / "target")
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0
