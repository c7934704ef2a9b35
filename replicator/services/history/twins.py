"""Refuses a source with two rows of one key, of which a ledger and a target can have only one.

Druid's tables have primary keys, so such a table was restored without them or made by hand. A cut
with both rows would add up for nobody: its digest counts both, and each reader's ledger has one.
"""

from typing import NoReturn

import numpy as np

from replicator.errors import ConfigError
from replicator.model.inventory.ledger import KEY, Keys
from replicator.model.row import TABLES, Kind, key_of
from replicator.ports import Chunk, Snapshot


def has_twins(hashes: bytearray) -> bool:
    """Return whether a key occurs twice among some key hashes."""
    return _twin(np.frombuffer(hashes, KEY)) is not None


async def refuse_twins(snapshot: Snapshot, kind: Kind) -> NoReturn:
    """Name the row of a table that is there twice.

    Raises:
        ConfigError: always; the message names the row's key.
    """
    chunks: list[Chunk] = []
    await snapshot.scan(kind, chunks.append)
    keys = np.concatenate([chunk.keys for chunk in chunks])
    handles = np.concatenate([chunk.handles for chunk in chunks])
    name = ""
    if (twin := _twin(keys)) is not None:
        (row, *_) = await snapshot.fetch(kind, handles[keys == twin][:1])
        name = f" {key_of(row).key!r}"
    table = TABLES[kind]
    raise ConfigError(
        f"the source has two rows of its table {table.name} with one key{name}; they were not"
        " published",
        hint="remove one of them at the source; Druid makes that table with a primary key, and no"
        " name in it makes two keys one",
    )


def _twin(keys: Keys) -> np.bytes_ | None:
    """Return a key that occurs twice; None: there is none."""
    ordered = np.sort(keys)
    (places,) = np.nonzero(ordered[1:] == ordered[:-1])
    return ordered[places[0]] if len(places) else None
