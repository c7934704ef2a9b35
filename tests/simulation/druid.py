"""A cluster that behaves like Druid's Overlord and Coordinator towards its two stores."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha1
from itertools import count
from random import Random

from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.model.load_spec import Location
from replicator.model.row import (
    CommitMetadata,
    ConfigEntry,
    Kind,
    Row,
    RowKey,
    Rules,
    Segment,
    Supervisor,
    TableDefinition,
    key_of,
)
from replicator.model.versions import TRANSACTIONS_MAX
from tests.simulation.virtual_time import LoopClock

ROOT = "/druid/segments"
DATASOURCES = ("wiki", "orders", "clicks")
DAYS = tuple(f"2026-01-{day:02}T00:00:00.000Z" for day in range(1, 8))


class Druid:
    """Publishes bytes before rows and kills rows before bytes, in transactions, as Druid does."""

    def __init__(self, rng: Random, metadata: MemoryMetadata, storage: MemoryDeepStorage) -> None:
        self._rng = rng
        self.metadata = metadata
        self.storage = storage
        self._numbers = count(1)
        self._clock = LoopClock()
        self.deletions: set[asyncio.Task[None]] = set()
        self.done: set[str] = set()
        self.dead: list[tuple[Segment, dict[str, bytes]]] = []
        self.written = defaultdict[Location, list[tuple[str, dict[str, bytes]]]](list)
        """All bytes that ever were at a place, each with the time since when."""

    def act(self) -> None:
        """Do one random thing."""
        acts = {
            self.ingest: 5,
            self.overwrite: 2,
            self.append_and_replace: 1,
            self.minor_compaction: 1,
            self.append_beside_a_replace: 0.5,
            self.tombstone: 1,
            self.mark: 3,
            self.rewrite_payload: 1,
            self.kill_old: 1,
            self.kill_young: 1,
            self.stream: 3,
            self.control: 1,
            self.drop_datasource: 0.2,
            self.rebirth: 0.3,
            self.resurrect: 1,
            self.write_again: 1,
            self.maintain: 1,
        }
        act = self._rng.choices(list(acts), list(acts.values()))[0]
        act()
        self.done.add(act.__name__)

    def ingest(self) -> None:
        day = self._rng.randrange(len(DAYS) - 1)
        version = self._now()
        self._commit(self._new(self._datasource(), day, version, n) for n in self._some(4))

    def overwrite(self) -> None:
        """A new version of a day; the old one becomes unused, in the same commit or later."""
        old = [row for row in self._segments() if row.used]
        if not old:
            return
        victim = self._rng.choice(old)
        day = DAYS.index(victim.start)
        rows: list[Row] = [self._new(victim.datasource, day, self._now(), n) for n in self._some(3)]
        if self._rng.random() < 0.5:
            rows += [
                replace(row, used=False, used_status_last_updated=self._now())
                for row in old
                if (row.datasource, row.start) == (victim.datasource, victim.start)
            ]
        self._commit(rows)

    def append_and_replace(self) -> None:
        """Upgraded segments: new ids with the load spec of the old ones."""
        roots = [
            row for row in self._segments() if row.used and row.upgraded_from_segment_id is None
        ]
        if not roots:
            return
        version = self._now()
        chosen = self._rng.sample(roots, min(len(roots), 2))
        self._commit(
            self._row(
                root.datasource,
                DAYS.index(root.start),
                version,
                number,
                json.loads(root.payload)["loadSpec"],
                json.loads(root.payload)["size"],
                upgraded_from=root.id,
            )
            for number, root in enumerate(chosen)
        )

    def minor_compaction(self) -> None:
        """A day gets a new version, and most of it by metadata alone (Druid 37, #19059).

        What is compacted already keeps its bytes: another id, another partition, the same load
        spec. Done again and again, many rows share one place.
        """
        used = [row for row in self._segments() if row.used and _path(row)]
        if not used:
            return
        victim = self._rng.choice(used)
        day = [row for row in used if (row.datasource, row.start) == _day_of(victim)]
        fresh, kept = day[:1], day[1:]
        if self._rng.random() < 0.5:
            fresh, kept = [], day
        version, at = self._now(), DAYS.index(victim.start)
        rows = [self._new(victim.datasource, at, version, number) for number in range(len(fresh))]
        rows += [
            self._upgraded(row, version, number) for number, row in enumerate(kept, start=len(rows))
        ]
        gone = [replace(row, used=False, used_status_last_updated=self._now()) for row in day]
        self._commit([*rows, *gone])

    def append_beside_a_replace(self) -> None:
        """What is appended while a day is replaced is there in both versions at once."""
        upgraded = [row for row in self._segments() if row.used and row.upgraded_from_segment_id]
        if not upgraded:
            return
        row = self._rng.choice(upgraded)
        number = 100 + next(self._numbers)
        added = self._new(row.datasource, DAYS.index(row.start), "2026-01-01", number)
        added = replace(added, used=self._rng.random() < 0.5)
        self._commit([added, self._upgraded(added, row.version, number)])

    def _upgraded(self, row: Segment, version: str, number: int) -> Segment:
        """Return a row of another version and partition over the bytes of a row."""
        payload = json.loads(row.payload)
        return self._row(
            row.datasource,
            DAYS.index(row.start),
            version,
            number,
            payload["loadSpec"],
            payload["size"],
            upgraded_from=row.upgraded_from_segment_id or row.id,
        )

    def tombstone(self) -> None:
        day = self._rng.randrange(len(DAYS) - 1)
        row = self._row(self._datasource(), day, self._now(), 0, {"type": "tombstone"}, 1)
        self._commit([row])

    def mark(self) -> None:
        rows = self._segments()
        if not rows:
            return
        chosen = self._rng.sample(rows, min(len(rows), self._rng.randrange(1, 4)))
        used = self._rng.random() < 0.4
        self._commit(
            replace(row, used=used, used_status_last_updated=self._now()) for row in chosen
        )

    def rewrite_payload(self) -> None:
        """A move task: bytes go elsewhere, the payload follows, no timestamp moves."""
        rows = [row for row in self._segments() if not row.used and _path(row)]
        if not rows:
            return
        row = self._rng.choice(rows)
        old = self._location(row)
        if old not in self.storage.stored or len(self._users(old)) > 1:
            return
        new = Location(f"archive/{next(self._numbers)}/index/")
        self._store(new, dict(self.storage.stored[old]), since="")
        payload = json.loads(row.payload)
        payload["loadSpec"] = {"type": "local", "path": f"{ROOT}/{new}"}
        self._commit([replace(row, payload=json.dumps(payload).encode())])
        self._delete_later([old])

    def kill_old(self) -> None:
        self._kill([row for row in self._segments() if not row.used][:3])

    def kill_young(self) -> None:
        """Kill what was published last: perhaps nobody has copied it yet."""
        self._kill(self._segments()[-2:])

    def drop_datasource(self) -> None:
        name = self._datasource()
        self._kill([row for row in self._segments() if row.datasource == name])

    def rebirth(self) -> None:
        """Kill a segment, delete its bytes, and publish its id again with other bytes.

        An upgraded row has no bytes of its own: whoever publishes its id again has a place by it.
        """
        rows = [row for row in self._segments() if _path(row) and not row.upgraded_from_segment_id]
        if not rows:
            return
        row = self._rng.choice(rows)
        location = self._location(row)
        if len(self._users(location)) > 1:
            return
        now = self._now()
        self._store(location, self._bytes(json.loads(row.payload)["size"]), since=now)
        self._commit([replace(row, created_date=now, used_status_last_updated=now)])

    def resurrect(self) -> None:
        """Somebody puts back what was killed: the same row, the same bytes at the same place."""
        if not self.dead:
            return
        row, files = self._rng.choice(self.dead)
        place = self._location(row)
        if key_of(row) in self.metadata.rows or self._users(place):
            return
        now = self._now()  # a life of its own: what was copied in the first one may be other bytes
        self._store(place, dict(files), since=now)
        self._commit([replace(row, created_date=now, used_status_last_updated=now)])

    def write_again(self) -> None:
        """Flip a flag and flip it back: the same row, as another version."""
        rows = self._segments()
        self._commit(replace(row) for row in self._rng.sample(rows, min(len(rows), 3)))

    def maintain(self) -> None:
        """Do what a database's administrator does, or its vacuum."""
        versions, rng = self.metadata.versions, self._rng
        versions.vacuums = rng.random() < 0.8
        versions.open_for = rng.choice([0, 0, 1, 5, 20])
        versions.reason = rng.choice([None, None, None, "another kind of server"])
        versions.binlog = rng.random() < 0.25
        if rng.random() < 0.2:
            versions.see(self.metadata.rows)
            versions.rewrite(rng.choice([Kind.SEGMENT, Kind.CONFIG]))
        if rng.random() < 0.1:
            versions.server["start"] += "."
        if (stream := self.metadata.change_stream) is not None:
            stream.has_slot = stream.has_slot and rng.random() < 0.9
            if rng.random() < 0.7:
                stream.made()
            if rng.random() < 0.2:
                stream.identity = f"{rng.randrange(10)}" * 32
        if rng.random() < 0.1:
            versions.next += rng.choice([TRANSACTIONS_MAX - 1000, TRANSACTIONS_MAX])

    def stream(self) -> None:
        """Segments and the offsets that they hold, in one commit."""
        version = self._now()
        segments = [self._new("clicks", 0, version, number) for number in self._some(2)]
        payload = json.dumps({"offsets": {"0": next(self._numbers)}}).encode()
        commit = CommitMetadata(
            datasource="clicks",
            created_date="2026-01-01T00:00:00.000Z",
            commit_metadata_sha1=sha1(payload).hexdigest().upper(),  # noqa: S324 - Druid's choice
            commit_metadata_payload=payload,
        )
        self._commit([*segments, commit])

    def control(self) -> None:
        number = next(self._numbers)
        spec = {"type": "kafka", "spec": {"dataSchema": {"dataSource": "clicks"}}, "n": number}
        rows: list[Row] = [
            Supervisor(
                spec_id="clicks",
                id=number,
                created_date=self._now(),
                payload=json.dumps(spec).encode(),
            ),
            Rules(
                datasource="wiki",
                id=f"wiki_{number}",
                version=self._now(),
                payload=json.dumps([{"type": "loadForever", "n": number}]).encode(),
            ),
            ConfigEntry(name="lookupsConfig", payload=b"%d" % number),
            ConfigEntry(name="coordinator.config", payload=b"%d" % number),
            TableDefinition(
                schemaname="druid",
                name=self._datasource(),
                creationtime=1,
                updatetime=number,
                state="A",
                tabletype="datasource",
                properties=b"{}",
                columns=b"[%d]" % number,
            ),
        ]
        self._commit([self._rng.choice(rows)])
        if self._rng.random() < 0.2:
            key = self._rng.choice(
                [
                    RowKey(Kind.RULES, "wiki"),
                    RowKey(Kind.CONFIG, "lookupsConfig"),
                    RowKey(Kind.TABLE_DEFINITION, "druid.wiki"),
                ]
            )
            self.metadata.rows.pop(key, None)

    def _commit(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.metadata.rows[key_of(row)] = row
        if self.metadata.change_stream is not None:
            self.metadata.change_stream.look()

    def _kill(self, rows: list[Segment]) -> None:
        """Rows first, bytes second, and only bytes that no row names any more."""
        places = [self._location(row) for row in rows if _path(row)]
        for row in rows:
            if _path(row) and (files := self.storage.stored.get(self._location(row))):
                self.dead.append((row, dict(files)))
            del self.metadata.rows[key_of(row)]
        self._delete_later([place for place in places if not self._users(place)])

    def _delete_later(self, places: list[Location]) -> None:
        async def delete(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            for place in places:
                if not self._users(place):
                    self.storage.stored.pop(place, None)

        delay_s = self._rng.choice([0.0, 1.0, 30.0])
        task = asyncio.create_task(delete(delay_s))
        self.deletions.add(task)
        task.add_done_callback(self.deletions.discard)

    def _new(self, datasource: str, day: int, version: str, number: int) -> Segment:
        place = f"{datasource}/{DAYS[day]}_{DAYS[day + 1]}/{version}/{next(self._numbers)}/index/"
        size = self._rng.randrange(1, 50)
        self._store(Location(place), self._bytes(size), since=self._now())
        spec = {"type": "local", "path": f"{ROOT}/{place}"}
        return self._row(datasource, day, version, number, spec, size)

    def bytes_since(self, place: Location, since: str) -> list[dict[str, bytes]]:
        """Return what a row that was created then had at its place, and what came there later."""
        written = self.written[place]
        before = [time for time, _ in written if time < since]
        same = any(time == since for time, _ in written)
        return [files for _, files in written[max(0, len(before) - (not same)) :]]

    def _store(self, place: Location, files: dict[str, bytes], *, since: str) -> None:
        self.storage.stored[place] = files
        self.written[place].append((since, files))

    def _bytes(self, size: int) -> dict[str, bytes]:
        return {"00000.smoosh": self._rng.randbytes(size)}

    def _row(
        self,
        datasource: str,
        day: int,
        version: str,
        number: int,
        load_spec: dict[str, str],
        size: int,
        *,
        upgraded_from: str | None = None,
    ) -> Segment:
        start, end = DAYS[day], DAYS[day + 1]
        id_ = f"{datasource}_{start}_{end}_{version}" + (f"_{number}" if number else "")
        now = self._now()
        payload = {
            "dataSource": datasource,
            "interval": f"{start}/{end}",
            "version": version,
            "loadSpec": load_spec,
            "dimensions": "page,user",
            "metrics": "cnt",
            "shardSpec": {"type": "numbered", "partitionNum": number, "partitions": 0},
            "size": size,
            "identifier": id_,
        }
        return Segment(
            id=id_,
            datasource=datasource,
            created_date=now,
            start=start,
            end=end,
            partitioned=True,
            version=version,
            used=True,
            used_status_last_updated=now,
            upgraded_from_segment_id=upgraded_from,
            payload=json.dumps(payload).encode(),
        )

    def _segments(self) -> list[Segment]:
        return [row for row in self.metadata.rows.values() if isinstance(row, Segment)]

    def _users(self, place: Location) -> list[Segment]:
        return [row for row in self._segments() if _path(row) and self._location(row) == place]

    def _location(self, row: Segment) -> Location:
        return Location(_path(row).removeprefix(f"{ROOT}/"))

    def _datasource(self) -> str:
        return self._rng.choice(DATASOURCES)

    def _some(self, most: int) -> range:
        return range(self._rng.randrange(1, most + 1))

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _day_of(row: Segment) -> tuple[str, str]:
    return row.datasource, row.start


def _path(row: Segment) -> str:
    path: str = json.loads(row.payload)["loadSpec"].get("path", "")
    return path
