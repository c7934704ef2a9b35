"""The command line as its user meets it: real processes and databases, exit codes, words."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from replicator.cli.demo.recording import RecordedDruid, steps
from tests.integration.test_every_cut import settings_file
from tests.rings import IS_LONG
from tests.servers.postgresql import Postgresql, connected, execute, sessions
from tests.servers.process import Ended, Processes, Running, fresh

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class User:
    """Somebody at a terminal, with a source that a recorded Druid fills."""

    folder: Path
    config: Path
    source: str
    target: str
    forks: Processes

    async def types(self, *args: str) -> Ended:
        return await self.forks.run(*args, "--config", str(self.config), within_s=120)

    async def starts(self, *args: str) -> Running:
        return await self.forks.start(*args, "--config", str(self.config))

    async def play(self, *names: str) -> None:
        async with connected(self.source) as connection:
            druid = RecordedDruid(
                connection, root=self.folder / "source", archive=self.folder / "archive"
            )
            for name in names:
                await druid.play(steps()[name])

    async def cut(self, *names: str) -> None:
        """Let the steps happen, each in a cut of its own that the target has applied."""
        for name in names:
            await self.play(name)
            assert (await self.types("watch", "--once")).code == 0
            assert (await self.types("apply", "standby", "--once")).code == 0


@pytest.fixture
async def user(postgresql: Postgresql, tmp_path: Path, forks: Processes) -> AsyncIterator[User]:
    async with postgresql.database() as source, postgresql.database() as target:
        config = settings_file(tmp_path, source, target)
        text = config.read_text().replace("root_in_load_spec: /druid/segments", "")
        config.write_text(text)
        RecordedDruid.unpack(tmp_path / "archive")
        yield User(tmp_path, config, source, target, forks)


async def test_the_demo_runs_to_its_end_and_what_it_suggests_works(forks: Processes):
    """In an interpreter of its own, as a user starts it; then each line that it prints.

    In the long run each command that it shows is started as it is shown, too.
    """
    stand_in = None if IS_LONG else forks.stand_in
    ended = await fresh("demo", "--keep", within_s=800, stand_in=stand_in)
    assert ended.code == 0, ended.err
    assert "nothing was lost" in ended.out
    assert "BROKEN" not in ended.out
    _, _, invited = ended.out.partition("It is still there, in ")
    folder = invited.partition(":\n")[0]
    typed = [line.partition(" -m replicator ")[2].split() for line in invited.splitlines()]
    *lines, stop = [line for line in typed if line]
    environ = {"REPLICATOR_CONFIG": f"{folder}/replicator.yaml"}
    try:
        assert [line[0] for line in lines] == ["blame", "points", "rollback", "status"]
        codes = [(await forks.run(*line, env=environ, within_s=120)).code for line in lines]
        assert codes[:3] == [0, 0, 0]
        assert codes[3] in {0, 10}, "nobody has polled for a while, on a busy machine"
    finally:
        stopped = await forks.run(*stop, within_s=120)
    assert (stopped.code, f"{folder} is gone" in stopped.out) == (0, True)
    again = await forks.run(*stop, within_s=120)
    assert (again.code, "nothing is running" in again.out) == (0, True)


async def test_a_story_of_verbs_and_their_documents(user: User):
    """Each verb says in JSON what it did; the numbers are those of the recording."""
    await user.cut("1-history", "2-publish")
    assert (await user.types("check", "--json")).code == 0
    status = (await user.types("status", "--json")).result
    assert status["targets"][0]["lag_records"] == 0
    assert status["log"]["last_cut"] == 2
    points = (await user.types("points", "--json")).result
    assert [point["events"] for point in points["points"]] == [19, 1]
    found = (await user.types("diff", "19", "latest", "--json")).result
    assert found["count"] == 1
    events = (await user.types("log", "--json", "--type", "cut.closed")).result["events"]
    assert [event["offset"] for event in events] == [19, 21]
    plan = (
        await user.types("restore", "standby", "--to-offset", "20", "--dry-run", "--json")
    ).result
    assert (plan["plan"]["cut"], plan["plan"]["rows_removed"], plan["done"]) == (1, 1, False)
    proof = await user.types("verify", "standby", "--level", "checksum", "--json")
    assert (proof.code, proof.result["good"], proof.result["objects"]) == (0, True, 16)
    assert (await user.types("config", "validate", "--json")).result["valid"]
    assert (await user.types("config", "print", "--json")).result["settings"]


async def test_a_verb_asks_a_database_over_one_connection(user: User):
    """Each costs the server a process. A comparison asks for notes while its snapshot is open."""
    await user.cut("1-history")
    await user.play("2-publish")
    expected = {
        ("watch", "--once"): (1, 1),
        ("apply", "standby", "--once"): (0, 1),
        ("verify", "standby"): (0, 2),
        ("status",): (1, 1),
        ("check",): (1, 1),
    }
    for words, counts in expected.items():
        before = await sessions(user.source), await sessions(user.target)
        ended = await user.types(*words)
        assert ended.code in {0, 10}, ended.err
        after = await sessions(user.source), await sessions(user.target)
        assert (words, after[0] - before[0], after[1] - before[1]) == (words, *counts)


async def test_errors_have_their_codes_and_say_what_to_do(user: User):
    assert (await user.types("apply", "nobody", "--once")).code == 6
    assert (await user.types("verify", "standby")).code in {6, 8}
    await user.cut("1-history")
    outside = await user.types("restore", "standby", "--to-offset", "999", "--yes")
    assert outside.code == 11
    assert "can restore from offset 19" in outside.err
    zoneless = await user.types("restore", "standby", "--to-time", "2026-01-01T00:00:00", "--yes")
    assert zoneless.code == 2
    assert "has no zone" in zoneless.err
    unasked = await user.types("restore", "standby", "--to-offset", "19", "--pause")
    assert unasked.code == 4
    assert "needs --yes" in unasked.err
    strict = [("watch.poll_interval_s", "0.001"), ("watch.idle_cut_interval_s", "0.001")]
    strict.append(("targets.standby.rpo", "2ms"))
    flags = [flag for key, value in strict for flag in ("--set", f"{key}={value}")]
    broken = await user.types("status", *flags, "--json")
    assert broken.code == 10
    assert broken.result["targets"][0]["keeps_promise"] is False
    typo = await user.types("status", "--set", "watch.poll_intervall_s=1")
    assert typo.code == 2
    assert "watch.poll_interval_s" in typo.err
    user.config.unlink()
    assert (await user.types("status")).code == 2


async def test_a_restored_target_stands_still_until_it_is_told_to_go_on(user: User):
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    assert not (await ids(user.target, "orders"))
    said = await user.types("restore", "standby", "--to-offset", "19", "--yes")
    assert said.code == 0, said.err
    assert len(await ids(user.target, "orders")) == 6
    stands = await user.types("apply", "standby", "--once")
    assert stands.code == 4
    assert "is paused" in stands.err
    assert len(await ids(user.target, "orders")) == 6
    unasked = await user.types("apply", "standby", "--once", "--resume")
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True), unasked.err
    assert "orders: " in unasked.out
    assert "LOSES 6 used segments of 2" in unasked.out
    assert len(await ids(user.target, "orders")) == 6
    assert (await user.types("apply", "standby", "--once", "--resume", "--yes")).code == 0
    assert not (await ids(user.target, "orders"))


def with_one_away(user: User) -> None:
    """Configure a second target, whose database is not there."""
    found = yaml.safe_load(user.config.read_text())
    away = {"type": "postgresql", "url": "postgresql://druid@127.0.0.1:1/druid"}
    storage = {"type": "local", "root": str(user.folder / "other")}
    found["targets"]["other"] = {"metadata": away, "deep_storage": storage}
    user.config.write_text(yaml.safe_dump(found))


async def test_points_and_proofs_of_a_target_are_seen_whatever_else_is_away(user: User):
    """A database, its password or its bucket's key: `status` says the other target's state."""
    await user.cut("1-history")
    with_one_away(user)
    unset = ("--set", "targets.other.metadata.password_env=NOT_SET_AT_ALL")
    bucket = "{type: s3, bucket: b, access_key_id_env: NO_KEY, secret_access_key_env: NO_KEY}"
    closed = ("--set", f"targets.other.deep_storage={bucket}")
    for options in ((), unset, closed):
        points = await user.types("points", *options, "--json")
        failed = {one["target"] for one in points.result["failures"]}
        assert (points.code, failed) == (8, {"other"})
        assert "standby" in {one["target"] for one in points.result["targets"]}
        why = str(points.result["failures"])
        assert ("variable NO_KEY is not set" in why) is (options == closed), why
    told = " ".join((await user.types("status", *unset)).out.split())
    assert "wrong other cannot be looked at: the environment variable NOT_SET_AT_ALL is" in told
    assert "kept by standby" in told, told
    assert "standby follows, at cut 1" in told, told
    for verb in (("hold", "list"), ("drill", "list")):
        listed = await user.types(*verb)
        assert (listed.code, "NOT SEEN other: " in listed.out) == (8, True), listed.out


async def test_status_says_first_whether_anything_runs_and_one_trouble_hides_no_other(user: User):
    """Two targets, one of which is not there; `watch` runs, is stopped, and no word is cut."""
    with_one_away(user)
    await user.cut("1-history")
    once = await user.types("status")
    assert once.code == 8, once.out
    told = " ".join(once.out.split())
    assert told.startswith("running watcher: none is running; `watch --once` on")
    assert "promises nothing polls the source now; without a poll they break in" in told
    assert "kept by standby" in told
    assert "wrong other cannot be looked at:" in told
    assert "standby: to 2" in told
    assert all(len(line) <= 80 for line in once.out.splitlines() if "replicator " not in line)
    watching = await user.starts("watch")
    try:
        async with asyncio.timeout(60):
            while True:
                document = (await user.types("status", "--json")).result
                if document["running"]["watcher"]["state"] == "running":
                    break
        assert document["running"]["watcher"]["pid"] == watching.pid
        assert [one["what"] for one in document["failures"]] == ["target other"]
    finally:
        await watching.terminate()
    stopped = " ".join((await user.types("status")).out.split())
    assert "running watcher: NOT RUNNING; `watch` on" in stopped
    assert "wrong no watcher is running: `watch` on" in stopped
    assert f"type: replicator watch --config {user.config}" in stopped
    await user.types("apply", "standby", "--once")
    strict = [("watch.poll_interval_s", "0.001"), ("watch.idle_cut_interval_s", "0.001")]
    strict.append(("targets.standby.rpo", "2ms"))
    late = await user.types("status", *(f for k, v in strict for f in ("--set", f"{k}={v}")))
    assert late.code == 10, late.out
    told = " ".join(late.out.split())
    assert "wrong no watcher has polled the source since" in told
    assert f"type: replicator watch --config {user.config}" in told


async def test_after_an_accident_there_is_an_answer_and_what_it_says_to_type_undoes_it(user: User):
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    said = await user.types("blame", "orders", "--json")
    assert "marked unused at 2" in " ".join(said.result["summary"])
    assert "its bytes are on standby, as they were at offset" in said.result["summary"][-1]
    status = (await user.types("status", "--json")).result
    (drop,) = status["dropped"]
    assert (drop["datasource"], "undelete orders --on standby" in drop["type"]) == ("orders", True)
    told = " ".join((await user.types("status")).out.split())
    assert f"dropped orders has had no used segment since cut {drop['cut']}, " in told
    (undo,) = said.result["undo"]
    shown = (await user.types("blame", "orders")).out
    assert shown.startswith("in short  orders: ")
    assert shown.rstrip().endswith(undo)
    dropped = (await user.types("points", "--json")).result["points"][-2]
    assert dropped["what"] == "orders: 6 of 7 marked unused"
    assert dropped["what"] in (await user.types("points")).out
    assert len(await ids(user.target, "orders")) == 0
    done = await user.types(*undo.split()[1:], "--yes")
    assert done.code == 0, done.err
    assert len(await ids(user.target, "orders")) == 7
    proof = (await user.types("verify", "standby", "--json")).result
    assert "every datasource but orders" in proof["not_looked_at"][0]
    for moment in (("--latest",), ("--before-drop", "orders"), ("--to-time", "00:00 UTC")):
        planned = await user.types("restore", "standby", *moment, "--dry-run", "--json")
        assert planned.code == (11 if "--to-time" in moment else 0), planned.err
    ago = await user.types("restore", "standby", "--ago", "1d", "--yes")
    assert (ago.code, "no cut was closed at or before" in ago.err) == (11, True)
    both = await user.types("rollback", "orders", "--to", "before-drop", "--yes")
    assert (both.code, "nothing to do" in both.out) == (0, True)


async def test_an_empty_plan_pauses_nothing_and_says_so(user: User):
    """Restore, undelete, `restore run` and repair: exit 0, and the target follows as before."""
    await user.cut("1-history", "3-overwrite")
    path = str(user.folder / "plan.json")
    assert (await user.types("restore", "plan", "standby", "--to-offset", "999999")).code == 11
    newest = str((await user.types("status", "--json")).result["log"]["last_cut_offset"])
    there = ("--to-offset", newest)
    for args in (
        ("restore", "standby", *there),
        ("restore", "standby", "--datasource", "orders", *there),
        ("undelete", "orders", "--on", "standby", *there),
        ("restore", "plan", "standby", "-o", path, *there),
        ("restore", "run", path),
    ):
        said = await user.types(*args)  # without --yes: nothing is asked
        assert said.code == 0, said.err
        assert "nothing to do" in said.out
    assert "nothing to repair" in (await user.types("repair", "standby")).out
    misspelt = await user.types("restore", "standby", "--datasource", "ordres", *there, "--yes")
    assert (misspelt.code, "orders" in misspelt.err) == (6, True)
    found = (await user.types("restore", "standby", *there, "--json")).result
    assert (found["already"], found["plan"]["changes_nothing"]) == (True, True)
    await user.cut("4c-drop")
    held = await user.types("restore", "standby", "--to-offset", newest, "--yes", "--json")
    assert held.result["already"] is False
    assert (await user.types("apply", "standby", "--once")).code == 4


async def test_somebody_elses_rows_are_refused_unless_adopted(user: User):
    await user.play("1-history")
    async with connected(user.source) as connection:
        rows = await connection.fetch("SELECT * FROM druid_segments LIMIT 1")
    columns = ", ".join(f'"{name}"' for name in rows[0].keys())  # noqa: SIM118 - a Record
    places = ", ".join(f"${i}" for i in range(1, len(rows[0]) + 1))
    await execute(
        user.target,
        f"INSERT INTO druid_segments ({columns}) VALUES ({places})",
        "foreign",
        *list(rows[0])[1:],
    )
    assert (await user.types("watch", "--once")).code == 0
    refused = await user.types("apply", "standby", "--once")
    assert refused.code == 4
    assert "did not write" in refused.err
    assert (await user.types("apply", "standby", "--once", "--adopt")).code == 0
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0


async def test_verify_names_what_was_altered(user: User):
    await user.cut("1-history")
    victim = next(path for path in (user.folder / "target").rglob("00000.smoosh"))
    data = bytearray(victim.read_bytes())
    data[10] ^= 1
    victim.write_bytes(data)
    assert (await user.types("verify", "standby", "--level", "exists")).code == 0
    flipped = await user.types("verify", "standby", "--level", "checksum")
    assert flipped.code == 9
    assert str(victim.relative_to(user.folder / "target").parent) in flipped.out
    victim.unlink()
    assert (await user.types("verify", "standby", "--level", "exists")).code == 9
    await execute(user.target, "UPDATE druid_segments SET used = false WHERE datasource = 'orders'")
    assert "is missing or differs" in (await user.types("verify", "standby")).out


async def test_a_log_that_lost_what_was_applied_is_refused(user: User):
    await user.cut("1-history")
    copies = list(user.folder.glob("log.sqlite*"))
    for path in copies:
        shutil.copy(path, f"{path}.old")
    await user.cut("2-publish")
    for path in user.folder.glob("log.sqlite*"):
        if not path.name.endswith(".old"):
            path.unlink()
    for path in copies:
        shutil.copy(f"{path}.old", path)
    before = await ids(user.target, "wikipedia")
    lost = await user.types("apply", "standby", "--once")
    assert lost.code == 9
    assert "the log has lost records that were already applied" in lost.err
    assert await ids(user.target, "wikipedia") == before


async def test_what_is_missing_at_the_source_is_named_with_its_remedy(user: User):
    await user.play("1-history")
    await execute(user.source, "ALTER TABLE druid_segments RENAME COLUMN version TO renamed")
    column = await user.types("watch", "--once")
    assert (column.code, "version" in column.err) == (2, True)
    await execute(user.source, "ALTER TABLE druid_segments RENAME COLUMN renamed TO version")
    await execute(user.source, "DROP TABLE druid_rules")
    table = await user.types("watch", "--once")
    assert (table.code, "druid_rules" in table.err) == (2, True)


async def test_a_log_whose_folder_is_not_there_is_not_begun_anew(user: User):
    """Its disk may not be mounted."""
    folder = user.folder / "mounted" / "logs"
    elsewhere = ("--set", f"log.path={folder / 'prod.log'}")
    checked = await user.types("check", *elsewhere)
    assert (checked.code, f"nor is its folder {folder}" in checked.out) == (1, True)
    watched = await user.types("watch", "--once", *elsewhere)
    assert (watched.code, f"the folder {folder} is not there" in watched.err) == (2, True)
    assert "install -d" in watched.err
    assert not folder.parent.exists()
    folder.mkdir(parents=True)
    assert "the watcher makes it" in (await user.types("check", *elsewhere)).out
    assert (await user.types("watch", "--once", *elsewhere)).code == 0


async def test_apply_once_names_the_bytes_that_it_waits_for_and_gets_past_them(user: User):
    """A target that cron feeds: nothing that was left undone exits with 0."""
    await user.play("1-history")
    shutil.rmtree(next((user.folder / "source").rglob("index")))
    assert (await user.types("watch", "--once")).code == 0
    patient = ("--set", "targets.standby.kill_wait_s=3600")
    waits = await user.types("apply", "standby", "--once", "--json", *patient)
    assert (waits.code, waits.result["steps"]) == (3, 0)
    (segment,) = waits.result["waits_for"]
    assert waits.result["waits_until"]
    said = await user.types("apply", "standby", "--once", *patient)
    assert (said.code, f"waits for: {segment}" in said.out) == (3, True)
    past = await user.types("apply", "standby", "--once", "--json")
    assert (past.code, past.result["steps"], past.result["waits_for"]) == (3, 1, [])
    assert [gap["reason"] for gap in past.result["gaps"]] == ["object_missing"]
    assert (await user.types("apply", "standby", "--once")).code == 0


async def test_a_database_that_is_down_is_a_matter_of_trying_later(user: User):
    text = user.config.read_text()
    port = user.source.rpartition(":")[2].partition("/")[0]
    user.config.write_text(text.replace(f":{port}/", ":1/"))
    said = await user.types("watch", "--once")
    assert said.code == 8
    assert "hint:" in said.err


async def test_run_survives_kills_and_ends_well_on_a_signal(user: User):
    """SIGKILL at any moment repeats work and loses none; SIGTERM ends with the cut finished."""
    names = ["1-history", "2-publish", "3-overwrite", "3b-overshadowed", "4a-stream", "4b-stream"]
    fast = ("--set", "watch.poll_interval_s=0.05", "--set", "watch.idle_cut_interval_s=0.2")
    for number, name in enumerate([*names, "4c-drop", "5-accident"]):
        process = await user.starts("run", *fast)
        await user.play(name)
        await asyncio.sleep(0.05 + 0.12 * number)
        await process.kill()
    process = await user.starts("run", *fast)
    await working(process)
    ended = await process.terminate()
    assert ended.code == 0, ended.out + ended.err
    assert (await user.types("watch", "--once")).code == 0
    assert (await user.types("apply", "standby", "--once")).code == 0
    proof = await user.types("verify", "standby", "--level", "checksum", "--json")
    assert (proof.code, proof.result["good"], proof.result["gaps"]) == (0, True, [])
    for datasource in ("wikipedia", "orders", "clicks"):
        assert await ids(user.target, datasource) == await ids(user.source, datasource)


async def test_a_second_run_shuts_out_the_first(user: User):
    await user.play("1-history")
    fast = ("--set", "watch.poll_interval_s=0.1", "--set", "watch.idle_cut_interval_s=0.1")
    first = await user.starts("run", *fast)
    await working(first)
    second = await user.starts("run", *fast)
    ended = await first.ended()
    assert ended.code == 7, ended.out + ended.err
    await working(second)
    assert (await second.terminate()).code == 0
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0


async def killed(process: Running, *, after_s: float) -> None:
    """Kill it then, unless it has ended before."""
    await asyncio.sleep(after_s)
    await process.kill()


async def working(process: Running) -> None:
    """Wait until a `run` has closed a cut; its other lines are nobody's business here."""
    await process.says("cut published", within_s=60)


async def test_a_deep_storage_that_is_gone_makes_no_gaps(user: User):
    """A vanished mount must never look like a thousand kills."""
    await user.cut("1-history")
    await user.play("2-publish")
    assert (await user.types("watch", "--once")).code == 0
    (user.folder / "source").rename(user.folder / "elsewhere")
    quick = ("--set", "targets.standby.retry.attempts_max=1")
    away = await user.types("apply", "standby", "--once", *quick)
    assert away.code == 8
    assert "hint: mount it" in away.err
    assert (await user.types("status", "--json")).result["targets"][0]["gaps"] == []
    (user.folder / "elsewhere").rename(user.folder / "source")
    assert (await user.types("apply", "standby", "--once")).code == 0
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0


async def audit(dsn: str, key: str, author: str, payload: bytes) -> None:
    """What Druid's Overlord writes down when somebody asks it for something."""
    await execute(
        dsn,
        "INSERT INTO druid_audit (audit_key, type, author, comment, created_date, payload) VALUES"
        " ($1, 'segment.markUnused', $2, '', to_char(clock_timestamp() AT TIME ZONE 'UTC',"
        """ 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), $3)""",
        key,
        author,
        payload,
    )


async def test_blame_says_what_happened_to_a_datasource_and_who_asked_for_it(user: User):
    await user.cut("1-history", "3-overwrite")
    await audit(user.source, "orders", "ann", b"{}")
    asked = b'{"payload":"{\\"ds\\":\\"orders\\",\\"password\\":\\"s3cret\\"}"}'
    await audit(user.source, "index_parallel_1", "ben", asked)
    await audit(user.source, "orders_too", "eve", b'{"ds":"orders_too"}')
    await user.cut("4c-drop", "5-accident")
    said = await user.types("blame", "orders", "--json")
    assert said.code == 0, said.err
    found = said.result
    whats = [event["what"] for event in found["events"]]
    wanted = {"published", "rules changed", "marked unused", "killed"}
    assert set(whats) >= wanted
    offsets = [event["offset"] for event in found["events"]]
    assert offsets == sorted(offsets)
    assert found["count"] == len(whats)
    assert [row["author"] for row in found["audit"]] == ["ann", "ben"]
    assert "s3cret" not in said.out, "any viewer may ask a service for this"
    assert found["audit_missing"] is None
    dropped = [event for event in found["events"] if event["what"] == "marked unused"]
    killed = [event for event in found["events"] if event["what"] == "killed"]
    for event in (*dropped, *killed):
        assert event["after"] < event["time"]
    id_ = killed[0]["subject"]
    one = (await user.types("blame", id_, "--json", "--limit", "1")).result
    assert one["datasource"] == "orders"
    assert [event["subject"] for event in one["events"]] == [id_]
    assert one["count"] > 1
    text = await user.types("blame", "orders")
    assert f"killed  {id_}" in text.out
    assert "segment.markUnused orders by ann" in text.out
    start, end = id_.split("_")[1:3]
    within = (await user.types("blame", "orders", "--interval", f"{start}/{end}", "--json")).result
    assert 0 < within["count"] < found["count"]
    assert (await user.types("blame", "nobody")).code == 6
    assert (await user.types("blame", "orders", "--interval", "yesterday")).code == 2
    await execute(user.source, "DROP TABLE druid_audit")
    without = await user.types("blame", "orders", "--json")
    assert (without.code, "druid_audit" in without.result["audit_missing"]) == (0, True)


async def test_a_dropped_datasource_comes_back_on_a_target_without_copying(user: User):
    await user.cut("1-history", "3-overwrite")
    early = await user.types("undelete", "orders", "--on", "standby", "--yes")
    assert (early.code, "is not dropped" in early.err) == (4, True)
    whole = await rows(user.source, "orders")
    await user.cut("4c-drop")
    before = await rows(user.source, "orders")
    assert 0 < sum(before.values()) < sum(whole.values())
    await user.cut("5-accident")
    assert not await ids(user.target, "orders")
    plan = (await user.types("undelete", "orders", "--on", "standby", "--dry-run", "--json")).result
    assert (plan["done"], plan["plan"]["datasource"]) == (False, "orders")
    assert plan["drop"]["last"]["used_segments"] == sum(before.values())
    assert plan["drop"]["before"]["used_segments"] == sum(whole.values())
    assert not await ids(user.target, "orders")
    unasked = await user.types("undelete", "orders", "--on", "standby")
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True)
    shutil.rmtree(user.folder / "source")
    done = await user.types("undelete", "orders", "--on", "standby", "--yes", "--json")
    assert done.code == 0, done.err
    assert (done.result["objects_copied"], done.result["objects_unread"] > 0) == (0, True)
    assert await rows(user.target, "orders") == before
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0
    point = ("--to-offset", str(plan["drop"]["before"]["offset"]))
    all_of_it = await user.types("undelete", "orders", "--on", "standby", *point, "--yes")
    assert (all_of_it.code, await rows(user.target, "orders")) == (0, whole)
    assert "done: orders of standby is as it was in cut" in all_of_it.out
    assert "was not read; `replicator verify standby --level checksum" in all_of_it.out
    assert (await user.types("undelete", "nobody", "--on", "standby")).code == 6
    assert (await user.types("undelete", "orders", "--on", "nobody")).code == 6
    assert (await user.types("undelete", "orders")).code == 2


async def test_the_sources_operator_gets_a_list_of_calls_and_nothing_is_called(user: User):
    await user.cut("1-history")
    await execute(user.source, "UPDATE druid_segments SET used = false WHERE datasource = 'orders'")
    assert (await user.types("watch", "--once")).code == 0
    unused = await rows(user.source, "orders")
    said = await user.types("undelete", "orders", "--on-source", "--json")
    assert said.code == 0, said.err
    (call,) = said.result["calls"]
    assert (call["method"], call["path"]) == (
        "POST",
        "/druid/indexer/v1/datasources/orders/markUsed",
    )
    assert set(call["body"]["segmentIds"]) == await ids(user.source, "orders")
    script = await user.types("undelete", "orders", "--on-source")
    (line,) = [line for line in script.out.splitlines() if line.startswith("curl")]
    assert "--fail-with-body" in line
    assert '-H "Accept: application/json"' in line, "a Druid 33 answers 500 without it"
    assert await rows(user.source, "orders") == unused
    victim = call["body"]["segmentIds"][0]
    await execute(user.source, "DELETE FROM druid_segments WHERE id = $1", victim)
    assert (await user.types("watch", "--once")).code == 0
    partly = await user.types("undelete", "orders", "--on-source", "--json")
    assert (partly.code, partly.result["killed"]) == (3, [victim])
    assert partly.result["restores"] == [
        f"replicator rollback orders --on standby --to 19 --config {user.config}"
    ]


async def rows(dsn: str, datasource: str) -> dict[str, bool]:
    """Each segment, and whether it is used."""
    async with connected(dsn) as connection:
        found = await connection.fetch(
            "SELECT id, used FROM druid_segments WHERE datasource = $1", datasource
        )
    return {row[0]: row[1] for row in found}


async def ids(dsn: str, datasource: str) -> set[str]:
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            "SELECT id FROM druid_segments WHERE datasource = $1", datasource
        )
    return {row[0] for row in rows}
