"""Makers of model values with boring defaults; tests name only what they are about."""

import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replicator.model.event import (
    CutClosed,
    CutNumber,
    Envelope,
    Epoch,
    Event,
    Offset,
    Record,
    RowChanged,
    RowRemoved,
)
from replicator.model.fingerprint import Digest, Fingerprint, fingerprint
from replicator.model.log.wire import encode
from replicator.model.row import (
    AuditRow,
    CommitMetadata,
    ConfigEntry,
    IndexingState,
    Kind,
    Row,
    RowKey,
    Rules,
    Segment,
    SegmentSchema,
    Supervisor,
    TableDefinition,
)

DATA = Path(__file__).parent / "data"
ROOT = "/druid/segments"
START, END = "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z"
VERSION = "2024-05-01T10:00:00.000Z"
CREATED = "2024-05-01T10:00:05.000Z"
TIME = datetime(2024, 5, 1, 10, 0, 10, tzinfo=UTC)


def segment_id(datasource: str = "wiki", partition: int = 0) -> str:
    """The id that Druid gives: partition 0 has no number."""
    suffix = f"_{partition}" if partition else ""
    return f"{datasource}_{START}_{END}_{VERSION}{suffix}"


def load_spec(datasource: str = "wiki", partition: int = 0) -> dict[str, Any]:
    path = f"{ROOT}/{datasource}/{START}_{END}/{VERSION}/{partition}/index/"
    return {"type": "local", "path": path}


def segment_payload(
    *, datasource: str = "wiki", partition: int = 0, **members: Any
) -> dict[str, Any]:
    """What Druid writes, in its order; `members` replace or add."""
    payload = {
        "dataSource": datasource,
        "interval": f"{START}/{END}",
        "version": VERSION,
        "loadSpec": load_spec(datasource, partition),
        "dimensions": "page,user",
        "metrics": "cnt,added",
        "shardSpec": {"type": "numbered", "partitionNum": partition, "partitions": 1},
        "binaryVersion": 9,
        "size": 1967,
        "identifier": segment_id(datasource, partition),
    }
    return {**payload, **members}


def json_bytes(value: object) -> bytes:
    """JSON as Jackson writes it: no spaces, no escapes that are not needed."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def segment(datasource: str = "wiki", partition: int = 0, **columns: Any) -> Segment:
    defaults: dict[str, Any] = {
        "id": segment_id(datasource, partition),
        "datasource": datasource,
        "created_date": CREATED,
        "start": START,
        "end": END,
        "partitioned": True,
        "version": VERSION,
        "used": True,
        "used_status_last_updated": CREATED,
        "payload": json_bytes(segment_payload(datasource=datasource, partition=partition)),
    }
    return Segment(**{**defaults, **columns})


def commit(datasource: str = "wiki", **columns: Any) -> CommitMetadata:
    defaults: dict[str, Any] = {
        "datasource": datasource,
        "created_date": CREATED,
        "commit_metadata_sha1": "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
        "commit_metadata_payload": b'{"type":"kafka","partitions":{"0":42}}',
    }
    return CommitMetadata(**{**defaults, **columns})


def supervisor(spec_id: str = "wiki", **columns: Any) -> Supervisor:
    payload = {
        "type": "kafka",
        "spec": {"dataSchema": {"dataSource": "wiki"}, "ioConfig": {"topic": "wiki"}},
        "suspended": False,
    }
    defaults: dict[str, Any] = {
        "spec_id": spec_id,
        "id": 7,
        "created_date": CREATED,
        "payload": json_bytes(payload),
    }
    return Supervisor(**{**defaults, **columns})


def rules(datasource: str = "wiki", **columns: Any) -> Rules:
    defaults: dict[str, Any] = {
        "datasource": datasource,
        "id": f"{datasource}_{VERSION}",
        "version": VERSION,
        "payload": b'[{"type":"loadForever","tieredReplicants":{"_default_tier":2}}]',
    }
    return Rules(**{**defaults, **columns})


def config_entry(name: str = "lookupsConfig", **columns: Any) -> ConfigEntry:
    return ConfigEntry(**{"name": name, "payload": b'{"__default":{}}', **columns})


def segment_schema(fingerprint: str = "E394ABFE", **columns: Any) -> SegmentSchema:
    defaults: dict[str, Any] = {
        "fingerprint": fingerprint,
        "created_date": CREATED,
        "datasource": "wiki",
        "used": True,
        "used_status_last_updated": CREATED,
        "version": 1,
        "payload": b'{"columns":["__time","page"]}',
    }
    return SegmentSchema(**{**defaults, **columns})


def indexing_state(fingerprint: str = "A1B2C3D4", **columns: Any) -> IndexingState:
    defaults: dict[str, Any] = {
        "fingerprint": fingerprint,
        "created_date": CREATED,
        "datasource": "wiki",
        "used": True,
        "pending": False,
        "used_status_last_updated": CREATED,
        "payload": b'{"partitionsSpec":{"type":"dynamic"}}',
    }
    return IndexingState(**{**defaults, **columns})


def table_definition(name: str = "wiki", **columns: Any) -> TableDefinition:
    """As druid-catalog writes it: a TableSpec's type, properties and columns."""
    defaults: dict[str, Any] = {
        "schemaname": "druid",
        "name": name,
        "creationtime": 1714557605000,
        "updatetime": 1714557605000,
        "state": "A",
        "tabletype": "datasource",
        "properties": b'{"segmentGranularity":"P1D"}',
        "columns": b'[{"name":"__time"},{"name":"page","dataType":"VARCHAR"}]',
    }
    return TableDefinition(**{**defaults, **columns})


def audit_row(id_: int = 1, **columns: Any) -> AuditRow:
    defaults: dict[str, Any] = {
        "id": id_,
        "audit_key": "wiki",
        "type": "segment.markUnused",
        "author": "ann",
        "comment": "",
        "created_date": CREATED,
        "payload": b"{}",
    }
    return AuditRow(**{**defaults, **columns})


ONE_OF_EACH: Mapping[Kind, Row] = {
    Kind.SEGMENT: segment(),
    Kind.COMMIT: commit(),
    Kind.SUPERVISOR: supervisor(),
    Kind.RULES: rules(),
    Kind.CONFIG: config_entry(),
    Kind.SEGMENT_SCHEMA: segment_schema(),
    Kind.INDEXING_STATE: indexing_state(),
    Kind.TABLE_DEFINITION: table_definition(),
    Kind.AUDIT: audit_row(),
}


def mark(number: int) -> Fingerprint:
    """A fingerprint that is easy to recognise."""
    return Fingerprint(bytes([number]) * 32)


def changed(row: Row, *, previous: Fingerprint | None = None) -> RowChanged:
    return RowChanged(row=row, fingerprint=fingerprint(row), previous=previous)


def removed(kind: Kind = Kind.SEGMENT, key: str = "wiki_1", number: int = 1) -> RowRemoved:
    return RowRemoved(key=RowKey(kind, key), previous=mark(number))


def cut_closed(cut: int = 3, *, count: int = 1, digest: int = 255, epoch: int = 2) -> CutClosed:
    return CutClosed(
        cut=CutNumber(cut),
        source_time=TIME,
        count=count,
        digest=Digest(digest),
        epoch=Epoch(epoch),
    )


def envelope(cut: int = 3, *, epoch: int = 2, source: str = "prod") -> Envelope:
    return Envelope(source=source, cut=CutNumber(cut), epoch=Epoch(epoch), time=TIME)


def record(event: Event, *, offset: int = 4711, within: Envelope | None = None) -> Record:
    document = encode(event, within or envelope())
    return Record(offset=Offset(offset), appended_at=TIME, type=document.type, data=document.data)


def recorded_segments(file_name: str) -> list[Segment]:
    """Rows that a real Druid wrote, exported from PostgreSQL as CSV."""
    with (DATA / file_name).open(newline="", encoding="utf-8") as file:
        return [_recorded(row) for row in csv.DictReader(file)]


def _recorded(found: dict[str, str]) -> Segment:
    columns: dict[str, Any] = {name: value or None for name, value in found.items()}
    for name in ("partitioned", "used"):
        columns[name] = found[name] == "t"
    if columns.get("num_rows"):
        columns["num_rows"] = int(columns["num_rows"])
    return Segment(**{**columns, "payload": found["payload"].encode()})
