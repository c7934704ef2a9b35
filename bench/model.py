"""What the model costs for one segment: a restore of a million rows must be planned in 30 s."""

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from timeit import repeat

from replicator.model.druid.payload import with_member
from replicator.model.event import CutNumber, Envelope, Epoch, Offset, Record, RowChanged
from replicator.model.fingerprint import fingerprint, key_hash
from replicator.model.inventory.ledger import batch, diff, empty, fold
from replicator.model.load_spec import LocalLayout
from replicator.model.log.row_mapping import RowMapping, check_segment
from replicator.model.log.wire import RawRow, decode, encode, parse
from replicator.model.row import TABLES, Segment, key_of

START, END, VERSION = "2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z", "2024-05-01"


def segment(payload_bytes: int) -> Segment:
    """Return a segment whose payload has about this size."""
    id_ = f"wiki_{START}_{END}_{VERSION}"
    payload = {
        "dataSource": "wiki",
        "interval": f"{START}/{END}",
        "version": VERSION,
        "loadSpec": {"type": "local", "path": f"/druid/wiki/{START}_{END}/{VERSION}/0/index/"},
        "dimensions": "d" * max(0, payload_bytes - 400),
        "metrics": "cnt,added",
        "shardSpec": {"type": "numbered", "partitionNum": 0, "partitions": 1},
        "binaryVersion": 9,
        "size": 1967,
        "identifier": id_,
    }
    return Segment(
        id=id_,
        datasource="wiki",
        created_date=START,
        start=START,
        end=END,
        partitioned=True,
        version=VERSION,
        used=True,
        used_status_last_updated=START,
        payload=json.dumps(payload, separators=(",", ":")).encode(),
    )


def steps(row: Segment) -> dict[str, Callable[[], object]]:
    """Return what is done for each row, by name."""
    columns = {
        kind: frozenset(table.columns) - table.target_owned for kind, table in TABLES.items()
    }
    mapping = RowMapping(
        source=LocalLayout(root="/druid"),
        target=LocalLayout(root="/standby"),
        config_names=frozenset(),
        columns=columns,
    )
    event = RowChanged(row=row, fingerprint=fingerprint(row), previous=None)
    time = datetime(2024, 5, 1, tzinfo=UTC)
    envelope = Envelope(source="prod", cut=CutNumber(1), epoch=Epoch(1), time=time)
    document = encode(event, envelope)
    record = Record(offset=Offset(1), appended_at=time, type=document.type, data=document.data)
    fact = parse(record).fact
    assert isinstance(fact, RawRow)  # noqa: S101 - for the type checker
    return {
        "wire.encode": lambda: encode(event, envelope),
        "wire.decode": lambda: decode(record),
        "wire.parse": lambda: parse(record),
        "fingerprint": lambda: fingerprint(row),
        "fingerprint, as carried": lambda: mapping.fingerprint(fact),
        "key_hash": lambda: key_hash(key_of(row)),
        "payload.with_member": lambda: with_member(row.payload, "loadSpec", {"type": "local"}),
        "carriage.carried": lambda: mapping.mapped(row),
        "carriage.check_segment": lambda: check_segment(row),
    }


def ledger_steps(rows: int) -> dict[str, Callable[[], object]]:
    """Return what is done for a whole ledger, by name."""
    changes = [(key_hash_of(n), key_hash_of(n) * 2, n) for n in range(rows)]
    whole = batch(list(changes))
    ledger = fold(empty(), whole)
    later = fold(ledger, batch([(key, mark[::-1], n) for key, mark, n in changes[::1000]]))
    return {
        "ledger.fold, all rows": lambda: fold(empty(), whole),
        "ledger.diff, one in a thousand": lambda: diff(ledger, later),
    }


def key_hash_of(number: int) -> bytes:
    """Return 16 bytes without an order."""
    return (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)).to_bytes(16)


def main() -> None:
    """Read the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payload-bytes", type=int, default=2048)
    parser.add_argument("--rows", type=int, default=1_000_000)
    args = parser.parse_args()
    print(f"for one row with a payload of {args.payload_bytes} bytes, best of 20")
    for name, step in steps(segment(args.payload_bytes)).items():
        print(f"{name:<32}{min(repeat(step, number=1000, repeat=20)) * 1000:>9.2f} us")
    print(f"for {args.rows} rows, best of 3")
    for name, step in ledger_steps(args.rows).items():
        print(f"{name:<32}{min(repeat(step, number=1, repeat=3)):>9.2f} s")


if __name__ == "__main__":
    main()
