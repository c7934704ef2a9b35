"""Whatever comes in is read, or refused in words that name it: no traceback, not much memory.

Right inputs of every kind are changed as no writer would, a seed each; a failure prints kind and
seed, and `KIND=… SEED=… pytest tests/fuzz` tries that one alone.
"""

import json
import os
import resource
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import cramjam
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicator import config
from replicator.adapters.bucket.bucket import Stat
from replicator.adapters.bucket.receipts import METADATA, mapped, metadata_of
from replicator.adapters.postgresql.stream.pgoutput import message_of
from replicator.adapters.sqlite import jobs, journal, tokens
from replicator.adapters.sqlite.rows import DamagedRowError, damage
from replicator.errors import ReplicatorError
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.release import release_of
from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.load_spec import LocalLayout, Location, S3Layout, SourceLayout
from replicator.model.log.backlog import Backlog
from replicator.model.log.peek import segment_update, subject_of
from replicator.model.log.row_mapping import RowMapping, check_segment
from replicator.model.log.wire import decode
from replicator.model.operations.scheduled_run import RunRecord, RunState, run_json, run_of
from replicator.model.operations.words import eta_text
from replicator.model.plans.plan_file import PlanFile, PlanOptions, World, plan_document, plan_of
from replicator.model.row import KIND_OF, TABLES, AuditRow, Kind, Row, Segment
from replicator.model.store.archive import (
    HISTORY,
    Header,
    base_of,
    history_name,
    manifest_name,
    pack,
    unpack,
)
from replicator.model.store.archive_notes import about_name, about_of, gaps_name, gaps_of
from replicator.model.store.canary import CanarySummary, canary_json, canary_of
from replicator.model.store.drill import evidence_of
from replicator.model.store.rates import Rates
from replicator.ports import Checked, Receipt, StoredObject
from replicator.services.inspection.happenings import CutSummaries, Happening
from tests.builders import ONE_OF_EACH, TIME, changed, cut_closed, record
from tests.fuzz.mutations import bytes_of, document_of
from tests.rings import times
from tests.schemas.golden_documents import DOCUMENTS

GOLDEN = Path(__file__).parents[1] / "schemas" / "golden"
REFERENCE = Path(__file__).parents[2] / "config" / "replicator.yaml"
INPUTS = times(gate=20_000, long=1_000_000)
GROWTH_KB_MAX = 300_000
"""Of this process' memory over all of them: a file is unpacked to 64 MiB at most."""
LOG = "0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One kind of input."""

    right: list[bytes]
    read: Callable[[bytes], object]
    names: str
    """What each refusal says: the file, the row or the key."""
    share: float = 1.0
    """Of the inputs, beside the others: what is slow to read is read less often."""


@cache
def _documents() -> dict[str, Input]:
    def reading(name: str) -> Callable[[bytes], object]:
        golden = DOCUMENTS[name]
        return lambda data: golden.read(golden.name, data)

    store = GOLDEN / "store-v1"
    return {
        name: Input(
            right=[(store / name).read_bytes()], read=reading(name), names=DOCUMENTS[name].name
        )
        for name in DOCUMENTS
    }


@cache
def _archive() -> dict[str, Input]:
    folder = GOLDEN / "archive-v1"
    history = history_name(LOG, Offset(40), Offset(43))
    base = manifest_name(LOG, Offset(42))
    return {
        "history": Input(
            right=[(folder / "history.jsonl.zst").read_bytes()],
            read=lambda data: unpack(history, data),
            names=history,
        ),
        "lines": Input(
            right=[bytes(cramjam.zstd.decompress((folder / "history.jsonl.zst").read_bytes()))],
            read=lambda data: unpack(history, _sealed(data)),
            names=history,
        ),
        "manifest": Input(
            right=[(folder / "manifest.json").read_bytes()],
            read=lambda data: base_of(base, data),
            names=base,
        ),
        "about": Input(
            right=[(folder / "about.json").read_bytes()],
            read=lambda data: about_of(about_name(LOG), data),
            names=about_name(LOG),
        ),
        "gaps": Input(
            right=[(folder / "gaps.json").read_bytes()],
            read=lambda data: gaps_of(gaps_name(LOG), data),
            names=gaps_name(LOG),
        ),
        "evidence": Input(
            right=[path.read_bytes() for path in (GOLDEN / "drill-v1").iterdir()],
            read=lambda data: evidence_of("drills/one.json", data),
            names="drills/one.json",
        ),
    }


def _sealed(lines: bytes) -> bytes:
    """Return altered lines as a file whose checksum is right: by who knows the format."""
    _, *records, _ = [*lines.split(b"\n"), b"", b""]
    header = Header(kind=HISTORY, source="prod", log_id=LOG, start=Offset(40), previous=None)
    data, _ = pack(header, [one + b"\n" for one in records[1:-1]], end=Offset(43), last=None)
    return data


def _read_event(data: bytes) -> object:
    return decode(Record(offset=Offset(7), appended_at=TIME, type="", data=data))


RECEIPT = Receipt(
    objects=(Checked(name="", size_bytes=7, sha256="ab" * 32),),
    copied_from=(StoredObject(name="a/b", size_bytes=7, tag="1"),),
)
PLACE = Location("wiki/0/index.zip")


def _read_receipt(data: bytes) -> object:
    text = data.decode(errors="replace")
    stat = Stat(key=PLACE, size_bytes=7, tag="1", stored_at=TIME, metadata={METADATA: text})
    return mapped(PLACE, stat)


@cache
def _receipts() -> Input:
    (text,) = (metadata_of(PLACE, RECEIPT) or {}).values()
    return Input(right=[text.encode()], read=_read_receipt, names=PLACE)


@cache
def _plans() -> Input:
    options = PlanOptions(
        target="standby",
        into="standby",
        from_store=False,
        log_id=None,
        by_reference=False,
        without_witness=False,
        datasource=None,
        adopt=False,
        accept_gaps=False,
    )
    world = World(
        log_id=LOG,
        cut_offset=Offset(9),
        cut_digest="aa",
        checkpoint=None,
        rows="cc",
        storages={"source": "dd"},
    )
    document = plan_document(PlanFile(options=options, world=world), {"segments": 3})
    return Input(
        right=[orjson.dumps(document)],
        read=lambda data: plan_of(data, "plan.json"),
        names="plan.json",
    )


RUN = RunRecord(
    schedule="nightly", target="standby", due=TIME, attempt=1, state=RunState.GOOD,
    started_at=TIME, lease_until=TIME, ended_at=TIME, exit_code=0, message="done", job="7",
    host="db1",
)  # fmt: skip
CANARY = CanarySummary(
    datasource="canary", target="standby", looked_at=TIME, arrived=3, lost=0, waiting_s=0.5,
    last_arrival_at=TIME, p50_s=0.1, p95_s=0.2, p99_s=None,
)  # fmt: skip


def _stream() -> list[bytes]:
    """Return a message of each kind, as version 1 of pgoutput writes them."""
    oid, row = (16_384).to_bytes(4), b"\0\x03t\0\0\0\x02idnu"
    number = bytes(7) + b"\x09"
    return [
        b"B" + number + (830_000_000_000_000).to_bytes(8) + oid,
        b"C\0" + number * 3,
        b"R" + oid + b"public\0druid_segments\0d\0\x01\x01id\0" + bytes(8),
        b"I" + oid + b"N" + row,
        b"U" + oid + b"O" + row + b"N" + row,
        b"D" + oid + b"K" + row,
        b"T" + b"\0\0\0\x01\0" + oid,
        b"M" + number,
    ]


def _operations() -> dict[str, Input]:
    return {
        "scheduled run": Input(
            right=[run_json(RUN)], read=lambda data: run_of(RUN.name, data), names=RUN.name
        ),
        "canary": Input(right=[canary_json(CANARY)], read=canary_of, names="canary/latest.json"),
        "stream message": Input(right=_stream(), read=message_of, names="change stream"),
    }


SLOW = Rates(copied_bytes=1, copy_s=1e9, rows=1, rows_s=1)
MAPPING = RowMapping(
    source=SourceLayout(
        main=LocalLayout(root="/var/druid/segments"),
        others={"old": S3Layout(bucket="bucket", prefix="druid")},
    ),
    target=S3Layout(bucket="other", prefix="standby"),
    config_names=frozenset({"*"}),
    columns={kind: frozenset(table.columns) for kind, table in TABLES.items()},
)
TO_OLDER = replace(
    MAPPING,
    druid=OlderDruid(release=release_of("25.0.0")),
    load_rules=LoadRules(with_drops=True, tiers={"hot": "cold"}),
)


def _fold(row: Row) -> None:
    """Take a row's event into all that is counted of a log: nothing of it may end a process."""
    event, backlog, told = record(changed(row)), Backlog(), list[Happening]()
    decode(event)
    if (update := segment_update(event)) is not None:
        backlog.add([(event.offset, update)])
        backlog.kill_margins(TIME, timedelta(days=30))
    _, size_bytes = backlog.pending()
    seconds = SLOW.seconds(size_bytes=size_bytes, rows=1)
    eta_text(timedelta(seconds=seconds or 0.0).total_seconds())
    counted = CutSummaries(lambda _, found: told.append(found) if found else None)
    if (subject := subject_of(event)) is not None:
        counted.see(subject, event)
    counted.close(ClosedCut(offset=Offset(8), closed=cut_closed()))
    counted.book._merge()
    array("q", [one.new_bytes for one in told])
    if isinstance(row, AuditRow):
        row.is_about(row.audit_key, TIME, TIME)


def _row_texts() -> dict[str, Input]:
    """Return the texts of rows beside their payloads: whatever a column of the source holds."""

    def reading(row: Row) -> Callable[[bytes], object]:
        def read(data: bytes) -> object:
            try:
                found = orjson.loads(data)
            except ValueError:
                return None  # a text that no database has
            members = found if isinstance(found, dict) else {}
            texts = {name: value for name, value in members.items() if name in _texts(row)}
            columns = {name: getattr(row, name) for name in TABLES[KIND_OF[type(row)]].columns}
            _fold(type(row)(**columns | {name: str(value) for name, value in texts.items()}))
            return None

        return read

    return {
        f"{kind.value} columns": Input(
            right=[orjson.dumps(_texts(row))], read=reading(row), names="", share=0.2
        )
        for kind, row in ONE_OF_EACH.items()
    }


def _texts(row: Row) -> dict[str, str]:
    columns = {name: getattr(row, name) for name in TABLES[KIND_OF[type(row)]].columns}
    return {name: value for name, value in columns.items() if isinstance(value, str)}


def _rows() -> dict[str, Input]:
    def reading(kind: Kind) -> Callable[[bytes], object]:
        table = TABLES[kind]

        def read(payload: bytes) -> object:
            row = ONE_OF_EACH[kind]
            columns = {name: getattr(row, name) for name in table.columns}
            odd = type(row)(**{**columns, table.payload: payload})
            _fold(odd)
            if isinstance(odd, Segment):
                check_segment(odd)
            for mapping in (MAPPING, TO_OLDER):
                mapping.mapped(odd)
            return None

        return read

    return {
        f"{kind.value} row": Input(
            right=[getattr(row, TABLES[kind].payload)], read=reading(kind), names=""
        )
        for kind, row in ONE_OF_EACH.items()
    }


def _blob(value: Any) -> Any:
    """Return a text as a column of bytes has it."""
    return value.encode(errors="surrogatepass") if isinstance(value, str) else value


def _file_rows() -> dict[str, Input]:
    """Rows of the control file and of the journal, as SQLite gives their columns."""
    at = TIME.isoformat()
    request, targets = '{"verb":"status"}', '["standby"]'
    progress = '{"what":"copy","done":1,"total":null,"unit":"bytes","eta_s":2.5}'
    job = ["j1", "status", request, targets, 0, "ops", "done", at, at, None, progress, 0, "",
           None, None]  # fmt: skip
    kinds: dict[str, tuple[Callable[[tuple[Any, ...]], object], list[object]]] = {
        "token": (tokens._token, ["t1", "ops", "viewer", targets, at, None, at, "ab" * 32]),
        "job": (jobs._job, job),
        "agreed plan": (
            lambda row: jobs._plan((*row[:3], _blob(row[3]), *row[4:]), jobs.SoundDocuments()),
            ["d1", "restore", request, "{}", targets, "ops", at],
        ),
        "answer": (
            lambda row: jobs._answer("j1", (_blob(row[0]), *row[1:]), jobs.SoundDocuments()),
            [request, "out", "err"],
        ),
        "condition": (journal._condition, ["target standby", 0, at, 1, 7]),
        "delivery": (
            journal._delivery,
            [1, "pager", "n1", "lag.late", "{}", at, 0, "waiting", at, ""],
        ),
    }

    def reading(read: Callable[[tuple[Any, ...]], object], width: int) -> Callable[[bytes], object]:
        def of_file(data: bytes) -> object:
            try:
                read(_columns(data, width))
            except DamagedRowError as exc:
                raise damage("control.sqlite", exc) from exc
            return None

        return of_file

    return {
        f"{kind} of a file": Input(
            right=[orjson.dumps(row)], read=reading(read, len(row)), names="control.sqlite: row"
        )
        for kind, (read, row) in kinds.items()
    }


def _columns(data: bytes, width: int) -> tuple[Any, ...]:
    """Return a row of values that SQLite can hold."""
    try:
        found = orjson.loads(data)
    except ValueError:
        found = data
    values = found if isinstance(found, list) else [found]
    held = [json.dumps(one) if isinstance(one, dict | list) else one for one in values[:width]]
    small = [float(one) if isinstance(one, int) and abs(one) > 2**62 else one for one in held]
    return (*small, *[None] * (width - len(small)))


def _configuration(folder: Path) -> Input:
    file = folder / "replicator.yaml"

    def read(data: bytes) -> object:
        file.write_bytes(data)
        return config.load(file, {})

    return Input(right=[REFERENCE.read_bytes()], read=read, names="replicator.yaml", share=0.002)


def _inputs(folder: Path) -> dict[str, Input]:
    events = [path.read_bytes() for path in GOLDEN.iterdir() if path.is_file()]
    return {
        **_documents(),
        **_archive(),
        **_rows(),
        **_row_texts(),
        **_operations(),
        **_file_rows(),
        "event": Input(right=events, read=_read_event, names="offset 7", share=4.0),
        "receipt": _receipts(),
        "plan": _plans(),
        "configuration": _configuration(folder),
    }


def _tried(kind: str, one: Input, others: list[bytes], seed: int) -> bool:
    """Read one wrong input; return whether it was refused."""
    rng = Random(f"{kind} {seed}")
    change = document_of if rng.random() < 0.6 else bytes_of
    data = change(rng, rng.choice(one.right), others)
    said = _refusal(one, data, f"KIND={kind!r} SEED={seed}")
    assert said is None or one.names in said, f"KIND={kind!r} SEED={seed}: {said}"
    return said is not None


def _refusal(one: Input, data: bytes, name: str) -> str | None:
    """Return the words in which an input is refused, None when it is read."""
    try:
        one.read(data)
    except ReplicatorError as exc:
        return str(exc)
    except Exception as exc:
        raise AssertionError(f"{name}: {data[:300]!r}") from exc
    return None


@pytest.mark.timeout(times(gate=300, long=7200))
def test_what_comes_in_is_read_or_refused_by_its_name(tmp_path: Path):
    inputs = _inputs(tmp_path)
    others = [data for one in inputs.values() for data in one.right if len(data) < 10_000]
    if "KIND" in os.environ:
        kind = os.environ["KIND"]
        _tried(kind, inputs[kind], others, int(os.environ["SEED"]))
        return
    shares = sum(one.share for one in inputs.values())
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for kind, one in inputs.items():
        count = max(20, round(INPUTS * one.share / shares))
        refused = sum(_tried(kind, one, others, seed) for seed in range(count))
        assert one.names == "" or refused > count / 10, f"{kind}: {refused} of {count}"
    growth_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert growth_kb < GROWTH_KB_MAX


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.timeout(times(gate=300, long=7200))
@settings(
    max_examples=times(gate=30, long=20_000),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(value=ANY_JSON | st.dictionaries(st.sampled_from(["format", "offset", "name"]), ANY_JSON))
@pytest.mark.parametrize("kind", [*_documents(), *_archive(), "event", "plan", "receipt"])
def test_no_document_at_all_is_a_traceback(kind: str, value: object):
    one = {
        **_documents(),
        **_archive(),
        "event": Input(right=[], read=_read_event, names="offset 7"),
        "receipt": _receipts(),
        "plan": _plans(),
    }[kind]
    try:
        data = orjson.dumps(value)
    except TypeError:
        data = repr(value).encode(errors="replace")
    said = _refusal(one, data, kind)
    assert said is None or one.names in said
