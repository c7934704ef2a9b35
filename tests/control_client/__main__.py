"""Make the client anew: `python -m tests.control_client COMMAND…`, which runs the generator."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import orjson

from replicator.control.openapi import openapi
from tests.unit.control.stage import served

HERE = Path(__file__).parent
WITHOUT_RUFF = "post_hooks: []\n"


async def document(folder: Path) -> bytes:
    """Return the document of a service."""
    async with served(folder) as stage:
        return orjson.dumps(openapi(stage.control.table), option=orjson.OPT_SORT_KEYS)


def main() -> None:
    """Generate the client, and keep the digest of the document that it was made of."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = asyncio.run(document(folder))
        (folder / "openapi.json").write_bytes(found)
        (folder / "config.yaml").write_text(WITHOUT_RUFF)
        shutil.rmtree(HERE / "client", ignore_errors=True)
        options = ["--path", f"{folder}/openapi.json", "--config", f"{folder}/config.yaml"]
        output = ["--meta", "none", "--output-path", str(HERE / "client")]
        subprocess.run([*sys.argv[1:], "generate", *options, *output], check=True)
    (HERE / "made_of.sha256").write_text(sha256(found).hexdigest() + "\n")


if __name__ == "__main__":
    main()
