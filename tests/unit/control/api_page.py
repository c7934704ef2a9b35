"""The lines of docs/api.md that ask a service, typed as they stand there."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEPT = re.compile(r"^([A-Z]+)=([0-9a-f]+…)$", re.MULTILINE)
"""What a reader takes from the answer before: the page shows its beginning."""
TAKEN = {"DIGEST": "digest", "PLAN": "plan", "TASK": "task"}
ADDRESS = "API=http://127.0.0.1:9465\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """One block, and what came back."""

    block: str
    answer: dict[str, Any]

    @property
    def shown(self) -> dict[str, Any] | None:
        """The answer as the page shows it; None: it shows none."""
        lines = [line[2:] for line in self.block.splitlines() if line.startswith("# {")]
        return json.loads(lines[0]) if lines else None


async def typed(
    url: str, token: str, *, other: Mapping[str, str] | None = None, below: str = ""
) -> list[Asked]:
    """Type each block that asks, in the page's order; the address alone is another.

    Args:
        url: The service.
        token: What REPLICATOR_TOKEN holds.
        below: Only what stands below this heading.
        other: Words of the page that no service but its own can have, and what stands for them.
    """
    text = PAGE.read_text()
    preparing, *_ = [one for one in BLOCK.findall(text) if "ask" in one]
    asking = [one for one in BLOCK.findall(text[text.index(below) :]) if "ask " in one]
    assert ADDRESS in preparing
    preparing = preparing.replace(ADDRESS, f"API={url}\n")
    found = list[Asked]()
    for block in asking:
        script = KEPT.sub(lambda kept: f"{kept[1]}={found[-1].answer[TAKEN[kept[1]]]}", block)
        for word, its in (other or {}).items():
            script = script.replace(word, its)
        found.append(Asked(block, await _answer(preparing + script, token)))
    return found


async def _answer(script: str, token: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-eu", "-c", script),
        env={"PATH": os.environ["PATH"], "REPLICATOR_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out)
    assert "detail" not in answer, (script, answer)
    return answer
