"""Our own rows in MySQL: the names of their tables, and how their columns hold what we write."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from replicator.adapters.kept_rows import GAP_COLUMNS, LONG_KEY, gap_row, row_of_gap
from replicator.adapters.mysql.session import Values
from replicator.model.checkpoint import Gap

BINARY_OF_GAP: Final = frozenset({"key", "datasource", LONG_KEY})
"""Columns of a gap that hold bytes: a collation would take two keys for one."""
STATE_COLUMNS: Final = (
    "log_id", "offset", "cut", "source_time", "digest", "paused", "promoted", "datasource",
    "epoch", "applied_at", "store",
)  # fmt: skip


class OwnTables:
    """Names of the replicator's own tables."""

    def __init__(self, *, checkpoints: str, gaps: str, renamed: str) -> None:
        self.checkpoints = checkpoints
        self.gaps = gaps
        self.renamed = renamed


def read_state(source: str, row: Values) -> Mapping[str, object]:
    """Return a row of checkpoints as `state_of` takes it."""
    found = dict(zip(STATE_COLUMNS, row, strict=True))
    for name in ("log_id", "datasource"):
        found[name] = None if found[name] is None else found[name].decode()
    for name in ("source_time", "applied_at"):
        found[name] = None if found[name] is None else aware(found[name])
    flags = {name: bool(found[name]) for name in ("paused", "promoted")}
    return {**found, **flags, "source": source}


def gap_values(gap: Gap) -> Iterator[object]:
    """Yield the values of a gap by `GAP_COLUMNS`."""
    for name, value in gap_row(gap).items():
        yield value.encode() if name in BINARY_OF_GAP and isinstance(value, str) else value


def read_gap(row: Values) -> Mapping[str, Any]:
    """Return a row of gaps as `gaps_of` takes it."""
    found = row_of_gap(dict(zip(GAP_COLUMNS, row, strict=True)))
    return {**found, **{name: found[name].decode() for name in ("key", "datasource")}}


def read_renamed(row: Values) -> Mapping[str, Any]:
    """Return a row of renamed datasources as `renamed_of` takes it."""
    datasource, original, offset, cut, source_time = row
    return {
        "datasource": datasource.decode(),
        "original": original.decode(),
        "offset": offset,
        "cut": cut,
        "source_time": aware(source_time),
    }


def naive(time: datetime) -> datetime:
    """Return a time for a column without a zone, which holds UTC."""
    return time.astimezone(UTC).replace(tzinfo=None)


def aware(time: datetime) -> datetime:
    """Return a time of a column without a zone, with its zone."""
    return time.replace(tzinfo=UTC)
