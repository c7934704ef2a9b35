"""Trials of one part of a configuration each: a real round trip through what it names."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from replicator.errors import MalformedRowError, MisplacedError, ReplicatorError
from replicator.model.druid.payload import member
from replicator.model.load_spec import Layout, Location
from replicator.model.log.row_mapping import located
from replicator.model.operations.clocks import CLOCK_SKEW_MAX
from replicator.model.operations.words import counted
from replicator.model.row import Kind
from replicator.model.versions import BinlogPosition, Continuity, Lineage, NoVersions
from replicator.ports import (
    CheckableLog,
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
    Visit,
)
from replicator.services.checkup.copy_trial import Sample
from replicator.services.checkup.finding import Finding, failed
from replicator.services.store.witness import Witness

REPLICA_BEHIND_MAX_S = 60.0
"""Seconds behind the primary above which the default `rpo` cannot be kept."""
MISPLACED_HINT = (
    "name the storage that the rows name (of a folder that Druid sees at another path also"
    " root_in_load_spec), or the second one in source.other_deep_storages"
)

NOUNS = {
    Kind.SEGMENT: "segment",
    Kind.COMMIT: "stream offset",
    Kind.SUPERVISOR: "supervisor",
    Kind.RULES: "rule",
    Kind.CONFIG: "setting",
    Kind.SEGMENT_SCHEMA: "segment schema",
    Kind.INDEXING_STATE: "indexing state",
    Kind.TABLE_DEFINITION: "catalog table",
    Kind.AUDIT: "audit row",
}
"""Words of `check` for a row of each table."""


async def try_source_metadata(
    metadata: SourceReader, clock: Clock, *, seen: Visit | None = None
) -> list[Finding]:
    """Take a snapshot of a source, which needs every table, column and privilege that is read.

    With `seen` every row is scanned, as by a poll, and shown to it.
    """
    try:
        async with metadata.snapshot() as snapshot:
            counts = await _scan(snapshot, seen) if seen else None
            kinds, lineage = snapshot.kinds, snapshot.lineage
        freshness = await metadata.freshness()
        left = await metadata.left_behind()
    except ReplicatorError as exc:
        return [failed("source metadata", exc)]
    skew = clock.now() - freshness.requested_at
    return [
        Finding(what="source metadata", good=True, detail=_tables(kinds, counts)),
        _row_versions(lineage),
        Finding(
            what="source clock",
            good=abs(skew) <= CLOCK_SKEW_MAX,
            detail=f"{skew.total_seconds():+.1f} s between the database and this machine",
            hint="lag and restore times are counted by the database's clock: mend NTP",
        ),
        *_replica(freshness),
        *_left_behind(left),
    ]


async def try_source_storage(
    metadata: SourceReader,
    storage: DeepStorageReader,
    layout: Layout,
    seen: Callable[[Sample], object],
) -> list[Finding]:
    """List a source's storage, and read one object of each kind of load spec among all segments.

    `seen` is given what could be read.
    """
    return [
        *await effective("source deep storage", storage),
        *await _listing(storage),
        *await _objects(metadata, storage, layout, seen),
    ]


async def try_log(log: CheckableLog) -> list[Finding]:
    """Look at what a watcher needs to write to a log; nothing is written."""
    try:
        return [
            Finding(what="log", good=False, detail=one.what, hint=one.remedy)
            for one in await log.obstacles()
        ]
    except ReplicatorError as exc:
        return [failed("log", exc)]


async def try_new_metadata(what: str, metadata: CheckableMetadata) -> list[Finding]:
    """Log in to a target's metadata store, which need not have Druid's tables yet."""
    try:
        made = await metadata.is_made()
    except ReplicatorError as exc:
        return [failed(what, exc)]
    detail = "Druid's tables are there" if made else "reached; Druid's tables are not there yet"
    return [Finding(what=what, good=True, detail=detail)]


async def try_target_storage(what: str, storage: DeepStorage) -> list[Finding]:
    """Write, read and remove a probe."""
    try:
        lacks = await storage.probe()
    except ReplicatorError as exc:
        return [failed(what, exc)]
    detail = "a probe was written, read back and removed"
    return [
        Finding(what=what, good=True, detail=detail),
        *(Finding(what=what, good=True, note=True, detail=one) for one in lacks),
    ]


async def try_witness(name: str, witness: Witness, *, writes: bool) -> list[Finding]:
    """Write and read a target's witness like heads, and report what it remembers.

    `writes` says whether this machine signs heads; one without a private key only asks.
    """
    what = f"target {name} witness"
    try:
        heads = await witness.probe(writes=writes)
    except ReplicatorError as exc:
        return [failed(what, exc)]
    how = "was written and read back" if writes else "was asked"
    newest = max(heads, key=lambda head: head.source_time, default=None)
    if newest is not None:
        detail = f"{witness.name} {how}; it remembers {newest.words} of log {newest.log_id}"
        return [Finding(what=what, good=True, detail=detail)]
    return [
        Finding(
            what=what,
            good=True,
            note=True,
            detail=f"{witness.name} {how}; it remembers nothing yet, so a restore from the store"
            " would be refused",
            hint=f"`replicator apply {name} --once` lets it remember",
        )
    ]


async def effective(what: str, storage: DeepStorageReader) -> list[Finding]:
    """Return the settings in force of a storage, and where each comes from."""
    if not isinstance(storage, TellsEffective):
        return []
    try:
        settings = await storage.effective()
    except ReplicatorError as exc:
        return [failed(what, exc)]
    if not settings:
        return []
    detail = ", ".join(f"{one.name} {one.value} ({one.origin})" for one in settings)
    return [Finding(what=f"{what}, what counts", good=True, detail=detail)]


def _tables(kinds: frozenset[Kind], counts: Mapping[Kind, int] | None) -> str:
    if counts is None:
        return f"{len(kinds)} of Druid's tables can be read"
    return ", ".join(counted(counts[kind], NOUNS[kind]) for kind in Kind if kind in kinds)


async def _scan(snapshot: Snapshot, seen: Visit) -> Counter[Kind]:
    counts: Counter[Kind] = Counter()
    for kind in snapshot.kinds:

        def visit(chunk: Chunk, kind: Kind = kind) -> None:
            counts[kind] += len(chunk.keys)
            seen(chunk)

        await snapshot.scan(kind, visit)
    return counts


async def _listing(storage: DeepStorageReader) -> list[Finding]:
    """Try a listing: without the right to list, a missing object looks like a denied one."""
    if not isinstance(storage, TriesReading):
        return []
    try:
        await storage.try_reading()
    except ReplicatorError as exc:
        return [failed("source deep storage", exc)]
    return []


async def _objects(
    metadata: SourceReader,
    storage: DeepStorageReader,
    layout: Layout,
    seen: Callable[[Sample], object],
) -> list[Finding]:
    try:
        samples = await metadata.load_spec_samples()
    except ReplicatorError as exc:
        return [failed("source load specs", exc)]
    return [await _object(storage, layout, seen, id_, payload) for id_, payload in samples]


async def _object(
    storage: DeepStorageReader,
    layout: Layout,
    seen: Callable[[Sample], object],
    id_: str,
    payload: bytes,
) -> Finding:
    what = f"source objects of type {_load_spec_type(payload)}"
    try:
        location = located(payload, layout)
        detail = "tombstones have no bytes"
        if location is not None:
            detail = await _read(storage, location, seen)
    except MisplacedError as exc:
        return replace(failed(f"{what}, segment {id_}", exc), hint=MISPLACED_HINT)
    except ReplicatorError as exc:
        return failed(f"{what}, segment {id_}", exc)
    return Finding(what=what, good=True, detail=detail)


async def _read(
    storage: DeepStorageReader, location: Location, seen: Callable[[Sample], object]
) -> str:
    objects = await storage.objects(location)
    size_bytes = 0
    async for piece in storage.read(location, objects[0]):
        size_bytes += len(piece)
    seen(Sample(location=location, objects=tuple(objects)))
    read = counted(size_bytes, "byte")
    return f"{counted(len(objects), 'file')} at {location}, {read} read of the first"


def _row_versions(lineage: Continuity) -> Finding:
    what = "source row versions"
    match lineage:
        case Lineage():
            detail = "there: a poll reads the contents of changed rows alone"
            return Finding(what=what, good=True, detail=detail)
        case BinlogPosition():
            detail = "none; a poll reads rows only after the binary log has named one of the tables"
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
