"""The replicator's own rows in a target's database, checked as they are read.

An attacker who can write to that database can write anything there: a row that is none of ours is
damage of this target, and no defect of the program.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Annotated, Any, Final

from replicator.errors import CorruptionError
from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.document import NATURAL, Shape, Time
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.log.renaming import Renamed

HINT: Final = (
    "another program has written there: put the row back from a copy; or remove it, and `replicator"
    " apply TARGET --once --adopt` compares the target anew"
)

TABLE_HINT: Final = (
    "the table was altered: look for triggers, rules and a missing primary key there"
)


FOLLOWED_CHARS: Final = 200
FOLLOWED_MAX: Final = 1000
"""Sources of which a database is a target, and characters of their names, that are read."""
OWN_BYTES_MAX: Final = 256 << 20
"""Largest size of a source's rows in one of our tables: half a million gaps."""
ROW_BYTES: Final = 256
"""What a row counts beside its values: here it takes more than that, however small they are."""
LONG_KEY: Final = "long_key"
"""Name of the column of a key that no index takes."""
KEY_BYTES_MAX: Final = 2000
"""Longest key of a row by which a gap is found: an index of PostgreSQL takes some 2,700 bytes."""
GAP_COLUMNS: Final = (
    "kind",
    "key",
    "opened",
    "closed",
    "datasource",
    "reason",
    "detail",
    LONG_KEY,
)
"""Columns of a gap, beside the source that it belongs to."""


def gap_row(gap: Gap) -> Mapping[str, str | int | None]:
    """Return a gap by `GAP_COLUMNS`; a key that no index takes is found by its checksum."""
    key = indexed(gap.key)
    return {
        "kind": gap.kind.value,
        "key": key,
        "opened": gap.opened,
        "closed": gap.closed,
        "datasource": gap.datasource,
        "reason": gap.reason,
        "detail": gap.detail,
        LONG_KEY: None if key == gap.key else gap.key,
    }


def row_of_gap(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as `gaps_of` takes it; an earlier table has no column of long keys.

    Raises:
        KeyError: another column is missing.
    """
    found = {name: columns[name] for name in GAP_COLUMNS if name != LONG_KEY}
    if (long_key := columns.get(LONG_KEY)) is not None:
        found["key"] = long_key
    return found


def indexed(key: str) -> str:
    """Return what a gap is found by: the row's key, or the checksum of one that no index takes."""
    data = key.encode()
    return key if len(data) <= KEY_BYTES_MAX else f"sha256:{sha256(data).hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Everything of a state but its checkpoint."""

    epoch: Annotated[Epoch, NATURAL]
    applied_at: Time | None
    store: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _GapRows:
    rows: tuple[Gap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RenamedRow:
    datasource: str
    original: str
    offset: Annotated[Offset, NATURAL]
    cut: Annotated[CutNumber, NATURAL]
    source_time: Time


_OWNER, _CHECKPOINT = Shape(_Owner, HINT), Shape(Checkpoint, HINT)
_GAPS, _RENAMED = Shape(_GapRows, HINT), Shape(_RenamedRow, HINT)


def state_of(database: str, table: str, row: Mapping[str, Any]) -> TargetState:
    """Return the state that a row of checkpoints holds.

    Args:
        database: Name of the database in messages.
        table: Name of the table in messages.
        row: Its columns; times have their zones.

    Raises:
        CorruptionError: a value is none of ours; the message names it.
    """
    with sound(database, table):
        owner = _OWNER.checked({name: row[name] for name in ("epoch", "applied_at", "store")})
        return TargetState(
            checkpoint=None if row["log_id"] is None else _CHECKPOINT.checked(row),
            epoch=owner.epoch,
            applied_at=owner.applied_at,
            store=owner.store,
        )


def gaps_of(database: str, table: str, rows: Iterable[Mapping[str, Any]]) -> list[Gap]:
    """Return the gaps that rows hold; `rows` may read them while they are gone through.

    Raises:
        CorruptionError: a value is none of ours, or a column is missing.
    """
    with sound(database, table):
        return list(_GAPS.checked({"rows": list(rows)}).rows)


def renamed_of(database: str, table: str, rows: Iterable[Mapping[str, Any]]) -> list[Renamed]:
    """Return the renamed datasources that rows hold, as `gaps_of` does.

    Raises:
        CorruptionError: as for `gaps_of`.
    """
    with sound(database, table):
        names = [one.name for one in fields(_RenamedRow)]
        found = [_RENAMED.checked({name: row[name] for name in names}) for row in rows]
    return [
        Renamed(
            datasource=one.datasource,
            original=one.original,
            offset=one.offset,
            cut=one.cut,
            source_time=one.source_time,
        )
        for one in found
    ]


def refuse_large(database: str, table: str, size_bytes: int) -> None:
    """Refuse rows before they are read: what is compressed there takes gigabytes here.

    Raises:
        CorruptionError: they are larger than any that we write.
    """
    if size_bytes > OWN_BYTES_MAX:
        raise CorruptionError(
            f"{database}: the rows of {table} have {size_bytes} bytes, and at most {OWN_BYTES_MAX}"
            " are read",
            hint=HINT,
        )


def require_written(database: str, table: str, source: str, *, is_one: bool) -> None:
    """Require that a transaction has written a source's checkpoint, and nothing else beside it.

    Its row is there and locked, so only the table itself can prevent that: a trigger, a rule, or
    two rows where the primary key was dropped.

    Raises:
        CorruptionError: none or several rows were written.
    """
    if not is_one:
        raise CorruptionError(
            f"{database}: the checkpoint of {source!r} in {table} is not one row that can be"
            " written; nothing was",
            hint=TABLE_HINT,
        )


@contextmanager
def sound(database: str, table: str) -> Generator[None]:
    """Translate what our own rows raise that do not hold what we write.

    Tables can be altered as well as rows: a column may be missing, hold a NULL, or be of another
    type, whose values lack what ours can do.

    Raises:
        CorruptionError: one does not.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError, LookupError, AttributeError) as exc:
        fault = f"column {exc} is missing" if isinstance(exc, KeyError) else exc
        raise CorruptionError(
            f"{database}: a row of {table} cannot be read: {fault}", hint=HINT
        ) from exc
