"""What the documents in `golden/` mean, written out: they stand for all logs of this version.

A golden document is never changed. When an event gets a second version, the first one's documents
stay and must still mean this.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from replicator.model.event import (
    CutClosed,
    CutNumber,
    Envelope,
    Epoch,
    Event,
    RowChanged,
    RowRemoved,
)
from replicator.model.fingerprint import Digest, Fingerprint
from replicator.model.row import (
    AuditRow,
    CommitMetadata,
    ConfigEntry,
    IndexingState,
    Kind,
    RowKey,
    Rules,
    Segment,
    SegmentSchema,
    Supervisor,
    TableDefinition,
)

ENVELOPE: Final = Envelope(
    source="prod",
    cut=CutNumber(42),
    epoch=Epoch(3),
    time=datetime(2024, 5, 1, 10, 0, 10, 250_000, tzinfo=UTC),
)
ONE, TWO = Fingerprint(bytes(range(32))), Fingerprint(bytes(range(32, 64)))
SEGMENT_ID = "wiki_2024-01-01T00:00:00.000Z_2024-01-02T00:00:00.000Z_2024-05-01T10:00:00.000Z"

EVENTS: Mapping[str, Event] = {
    "segment.published.v1.json": RowChanged(
        row=Segment(
            id=SEGMENT_ID,
            datasource="wiki",
            created_date="2024-05-01T10:00:05.000Z",
            start="2024-01-01T00:00:00.000Z",
            end="2024-01-02T00:00:00.000Z",
            partitioned=True,
            version="2024-05-01T10:00:00.000Z",
            used=False,
            used_status_last_updated="2024-05-01T10:00:07.000Z",
            upgraded_from_segment_id="wiki_original",
            indexing_state_fingerprint="A1B2",
            schema_fingerprint="E394",
            num_rows=6,
            payload=b'{"dataSource":"wiki","loadSpec":{"type":"local","path":"/druid/a/"}}',
            extras={"tier": "hot"},
        ),
        fingerprint=ONE,
        previous=TWO,
    ),
    "segment.published.old-release.v1.json": RowChanged(
        row=Segment(
            id=SEGMENT_ID,
            datasource="wiki",
            created_date="2024-05-01T10:00:05.000Z",
            start="2024-01-01T00:00:00.000Z",
            end="2024-01-02T00:00:00.000Z",
            partitioned=True,
            version="2024-05-01T10:00:00.000Z",
            used=True,
            payload='{"dataSource":"w\u00efki"}'.encode(),
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "segment.removed.v1.json": RowRemoved(key=RowKey(Kind.SEGMENT, SEGMENT_ID), previous=ONE),
    "datasource.committed.v1.json": RowChanged(
        row=CommitMetadata(
            datasource="wiki",
            created_date="2024-05-01T10:00:05.000Z",
            commit_metadata_sha1="2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
            commit_metadata_payload=b'{"type":"kafka","partitions":{"0":42}}',
        ),
        fingerprint=ONE,
        previous=TWO,
    ),
    "datasource.committed.binary.v1.json": RowChanged(
        row=CommitMetadata(
            datasource="wiki",
            created_date="2024-05-01T10:00:05.000Z",
            commit_metadata_sha1="2fd4e1c67a2d28fced849ee1bb76e7391b93eb12",
            commit_metadata_payload=b"\xff\x00\xfe",
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "datasource.removed.v1.json": RowRemoved(key=RowKey(Kind.COMMIT, "wiki"), previous=ONE),
    "supervisor.changed.v1.json": RowChanged(
        row=Supervisor(
            spec_id="wiki",
            id=7,
            created_date="2024-05-01T10:00:05.000Z",
            payload=b'{"type":"kafka","suspended":false}',
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "supervisor.removed.v1.json": RowRemoved(key=RowKey(Kind.SUPERVISOR, "wiki"), previous=ONE),
    "rules.changed.v1.json": RowChanged(
        row=Rules(
            datasource="_default",
            id="_default_2024-05-01T10:00:00.000Z",
            version="2024-05-01T10:00:00.000Z",
            payload=b'[{"type":"loadForever"}]',
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "rules.removed.v1.json": RowRemoved(key=RowKey(Kind.RULES, "_default"), previous=ONE),
    "config.changed.v1.json": RowChanged(
        row=ConfigEntry(name="lookupsConfig", payload=b'{"__default":{}}'),
        fingerprint=ONE,
        previous=None,
    ),
    "config.removed.v1.json": RowRemoved(key=RowKey(Kind.CONFIG, "lookupsConfig"), previous=ONE),
    "segment_schema.changed.v1.json": RowChanged(
        row=SegmentSchema(
            fingerprint="E394",
            created_date="2024-05-01T10:00:05.000Z",
            datasource="wiki",
            used=True,
            used_status_last_updated="2024-05-01T10:00:05.000Z",
            version=1,
            payload=b'{"columns":["__time"]}',
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "segment_schema.removed.v1.json": RowRemoved(
        key=RowKey(Kind.SEGMENT_SCHEMA, "E394"), previous=ONE
    ),
    "indexing_state.changed.v1.json": RowChanged(
        row=IndexingState(
            fingerprint="A1B2",
            created_date="2024-05-01T10:00:05.000Z",
            datasource="wiki",
            used=True,
            pending=False,
            used_status_last_updated="2024-05-01T10:00:05.000Z",
            payload=b'{"partitionsSpec":{"type":"dynamic"}}',
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "indexing_state.removed.v1.json": RowRemoved(
        key=RowKey(Kind.INDEXING_STATE, "A1B2"), previous=ONE
    ),
    "table_definition.changed.v1.json": RowChanged(
        row=TableDefinition(
            schemaname="druid",
            name="wiki",
            creationtime=1714557605000,
            updatetime=1714557606000,
            state="A",
            tabletype="datasource",
            properties=b'{"segmentGranularity":"P1D"}',
            columns=b'[{"name":"__time"}]',
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "table_definition.changed.binary.v1.json": RowChanged(
        row=TableDefinition(
            schemaname="druid",
            name="wiki",
            creationtime=1714557605000,
            updatetime=1714557606000,
            state="D",
            tabletype="datasource",
            properties=b"\xff",
            columns=b"null",
        ),
        fingerprint=ONE,
        previous=TWO,
    ),
    "table_definition.removed.v1.json": RowRemoved(
        key=RowKey(Kind.TABLE_DEFINITION, "druid.wiki"), previous=ONE
    ),
    "audit.recorded.v1.json": RowChanged(
        row=AuditRow(
            id=12,
            audit_key="wiki",
            type="segment.markUnused",
            author="ann",
            comment="a slip",
            created_date="2024-05-01T10:00:05.000Z",
            payload=b'{"interval":"2024-01-01/2024-01-02"}',
        ),
        fingerprint=ONE,
        previous=None,
    ),
    "audit.removed.v1.json": RowRemoved(key=RowKey(Kind.AUDIT, "12"), previous=ONE),
    "cut.closed.v1.json": CutClosed(
        cut=CutNumber(42),
        source_time=datetime(2024, 5, 1, 10, 0, 9, 125_000, tzinfo=UTC),
        count=1000,
        digest=Digest(0x0123_4567_89AB_CDEF),
        epoch=Epoch(3),
    ),
}
