"""Tries everything that the services will need with a real round trip, before anything runs."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import assert_never

from replicator.errors import MalformedRowError, NotFoundError, ReplicatorError
from replicator.model.clocks import CLOCK_SKEW_MAX
from replicator.model.load_spec import Layout, Location
from replicator.model.payload import member
from replicator.model.row import TABLES, Kind
from replicator.model.row_mapping import located
from replicator.model.versions import Lineage, NoVersions
from replicator.ports import (
    CheckableMetadata,
    Chunk,
    Clock,
    DeepStorage,
    DeepStorageReader,
    Freshness,
    Snapshot,
    SourceReader,
    TellsEffective,
    TriesReading,
)
from replicator.services.history.reader import History
from replicator.services.inspection.copy_trial import CopyTrial, Sample
from replicator.services.inspection.finding import Finding, failed

REPLICA_BEHIND_MAX_S = 60.0
"""Seconds behind the primary above which the default `rpo` cannot be kept."""


class Checkup:
    """Tries what the other services will need; changes nothing at the source."""

    def __init__(
        self,
        *,
        source: str,
        metadata: SourceReader,
        storage: DeepStorageReader,
        layout: Layout,
        history: History,
        clock: Clock,
        log_folder_missing: str | None = None,
    ) -> None:
        """Take what is tried; `log_folder_missing` is the missing folder of the log, if any."""
        self._source, self._log_folder_missing = source, log_folder_missing
        self._metadata = metadata
        self._storage = storage
        self._layout = layout
        self._history = history
        self._clock = clock
        self._samples: list[Sample] = []

    async def source(self) -> list[Finding]:
        """Read every table in one snapshot, and one object of each load spec type."""
        try:
            async with self._metadata.snapshot() as snapshot:
                counts = await self._scan(snapshot)
                kinds, lineage = snapshot.kinds, snapshot.lineage
            freshness = await self._metadata.freshness()
            left = await self._metadata.left_behind()
        except ReplicatorError as exc:
            return [failed("source metadata", exc)]
        found = ", ".join(f"{counts[kind]} {TABLES[kind].name}" for kind in Kind if kind in kinds)
        skew = self._clock.now() - freshness.asked_at
        return [
            Finding(what="source metadata", good=True, detail=found),
            _row_versions(lineage),
            Finding(
                what="source clock",
                good=abs(skew) <= CLOCK_SKEW_MAX,
                detail=f"{skew.total_seconds():+.1f} s between the database and this machine",
                hint="lag and restore times are counted by the database's clock: mend NTP",
            ),
            *_replica(freshness),
            *_left_behind(left),
            *await _effective("source deep storage", self._storage),
            *await self._listing(),
            *await self._objects(),
        ]

    async def log(self) -> list[Finding]:
        """Read the log without becoming its writer."""
        try:
            span = await self._history.span()
            cuts = await self._history.has_cuts(span)
        except NotFoundError:
            if self._log_folder_missing is not None:
                return [
                    Finding(
                        what="log",
                        good=False,
                        detail=f"not there, nor is its folder {self._log_folder_missing}",
                        hint="mount the disk that it is on, or make it for the watcher's user",
                    )
                ]
            return [Finding(what="log", good=True, detail="not there yet; the watcher makes it")]
        except ReplicatorError as exc:
            return [failed("log", exc)]
        detail = f"{span.end - span.first} records" + ("" if cuts else ", no closed cut yet")
        return [Finding(what="log", good=True, detail=detail)]

    async def target(
        self, name: str, metadata: CheckableMetadata, storage: DeepStorage
    ) -> list[Finding]:
        """Read a target's tables and checkpoint; write, read and delete a probe."""
        findings: list[Finding] = []
        try:
            columns = await metadata.columns()
            state = await metadata.state(self._source)
            obstacles = await metadata.obstacles()
        except ReplicatorError as exc:
            findings.append(failed(f"target {name} metadata", exc))
        else:
            at = f"at cut {state.checkpoint.cut}" if state.checkpoint else "nothing applied yet"
            detail = f"{len(columns)} of Druid's tables, {at}"
            what = f"target {name} metadata"
            findings.append(Finding(what=what, good=True, detail=detail))
            findings += [
                Finding(what=what, good=False, detail=one.what, hint=one.remedy)
                for one in obstacles
            ]
        findings += await _effective(f"target {name} deep storage", storage)
        try:
            lacks = await storage.probe()
        except ReplicatorError as exc:
            findings.append(failed(f"target {name} deep storage", exc))
        else:
            what, detail = (
                f"target {name} deep storage",
                "a probe was written, read back and removed",
            )
            findings.append(Finding(what=what, good=True, detail=detail))
            findings += [Finding(what=what, good=True, note=True, detail=one) for one in lacks]
        return findings

    async def copies(self, trial: CopyTrial) -> list[Finding]:
        """Copy to a target by the real path; from the source what `source` has read before."""
        return await trial.run(self._storage, self._samples)

    async def _scan(self, snapshot: Snapshot) -> Counter[Kind]:
        counts: Counter[Kind] = Counter()
        for kind in snapshot.kinds:

            def visit(chunk: Chunk, kind: Kind = kind) -> None:
                counts[kind] += len(chunk.keys)

            await snapshot.scan(kind, visit)
        return counts

    async def _listing(self) -> list[Finding]:
        """Try a listing: without the right to list, a missing object looks like a denied one."""
        if not isinstance(self._storage, TriesReading):
            return []
        try:
            await self._storage.try_reading()
        except ReplicatorError as exc:
            return [failed("source deep storage", exc)]
        return []

    async def _objects(self) -> list[Finding]:
        """Try one object of each kind of load spec among all segments."""
        try:
            samples = await self._metadata.load_spec_samples()
        except ReplicatorError as exc:
            return [failed("source load specs", exc)]
        return [await self._object(id_, payload) for id_, payload in samples]

    async def _object(self, id_: str, payload: bytes) -> Finding:
        what = f"source objects of type {_load_spec_type(payload)}"
        try:
            location = located(payload, self._layout)
            detail = "tombstones have no bytes"
            if location is not None:
                detail = await self._read(location)
        except ReplicatorError as exc:
            return failed(f"{what}, segment {id_}", exc)
        return Finding(what=what, good=True, detail=detail)

    async def _read(self, location: Location) -> str:
        objects = await self._storage.objects(location)
        size_bytes = 0
        async for piece in self._storage.read(location, objects[0]):
            size_bytes += len(piece)
        self._samples.append(Sample(location=location, objects=tuple(objects)))
        return f"{len(objects)} files at {location}, {size_bytes} bytes read of the first"


async def _effective(what: str, storage: DeepStorageReader) -> list[Finding]:
    """Return the effective settings of a storage, and where each comes from."""
    if not isinstance(storage, TellsEffective):
        return []
    try:
        told = await storage.effective()
    except ReplicatorError as exc:
        return [failed(what, exc)]
    if not told:
        return []
    detail = ", ".join(f"{one.name} {one.value} ({one.origin})" for one in told)
    return [Finding(what=f"{what}, what counts", good=True, detail=detail)]


def _row_versions(lineage: Lineage | NoVersions) -> Finding:
    what = "source row versions"
    match lineage:
        case Lineage():
            detail = "there: a poll reads the contents of changed rows alone"
            return Finding(what=what, good=True, detail=detail)
        case NoVersions(reason=reason):
            detail = f"none, so each poll reads the contents of every row: {reason}"
            return Finding(what=what, good=True, detail=detail, note=True)
    assert_never(lineage)


def _replica(freshness: Freshness) -> Iterable[Finding]:
    if not freshness.is_replica:
        return
    detail = freshness.text
    if freshness.is_blind:
        detail += (
            "; GRANT pg_read_all_stats TO the role lets it see when the replica last heard of its"
            " primary"
        )
    yield Finding(
        what="source replica",
        good=freshness.behind.total_seconds() <= REPLICA_BEHIND_MAX_S,
        detail=detail,
        hint="lag, rpo and --to-time are counted from what the replica shows: see why it is behind,"
        " or read from the primary",
    )


def _left_behind(tables: Iterable[str]) -> Iterable[Finding]:
    for name in tables:
        yield Finding(
            what="source metadata",
            good=True,
            note=True,
            detail=f"{name} is not replicated: this tool does not know that table",
            hint="it is an extension's or a newer Druid's: back it up by other means, and restore"
            " it by hand on a cluster that is promoted",
        )


def _load_spec_type(payload: bytes) -> str:
    try:
        load_spec = member(payload, "loadSpec")
    except MalformedRowError:
        load_spec = None
    return str(load_spec.get("type")) if isinstance(load_spec, dict) else json.dumps(load_spec)
