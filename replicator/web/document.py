"""The one JSON document that every verb prints and `/status.json` answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from replicator.model.operations.shown import escaped_json

SCHEMA = "replicator.v1"


def document(command: str, content: Mapping[str, Any], at: datetime) -> bytes:
    """Return the document of a verb, `content` having its `result` or its `error`."""
    found = {"schema": SCHEMA, "command": command, "generated_at": at, **content}
    data = orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str) + b"\n"
    return data if data.isascii() else escaped_json(data.decode()).encode()
