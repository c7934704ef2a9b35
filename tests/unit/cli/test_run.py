"""Which services end `run`, `watch` and `apply` when they fail."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from replicator.cli.follow import run as verbs
from replicator.cli.main import VERBS
from replicator.services.running.bystander import Bystander
from replicator.services.running.supervisor import Service
from tests.unit.control.stage import SETTINGS


@pytest.mark.parametrize(
    ("typed", "may_end"),
    [
        (["run"], {"watch", "control"}),
        (["watch"], {"watch"}),
        (["apply", "standby"], set[str]()),
    ],
)
def test_what_only_stands_by_the_copies_ends_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Sequence[str], may_end: set[str]
):
    started: dict[str, Service] = {}

    async def supervise(services: Mapping[str, Service], **_: object) -> None:
        started.update(services)

    monkeypatch.setattr(verbs, "supervise", supervise)
    config = tmp_path / "replicator.yaml"
    for name in ("source", "standby", "vault"):
        (tmp_path / name).mkdir()
    config.write_text(SETTINGS.format(folder=tmp_path))
    verb, *arguments = typed
    done = CliRunner().invoke(VERBS[verb].command(verb), [*arguments, "--config", str(config)])
    assert done.exit_code == 0, done.output
    of_targets = {one for one in started if one.startswith(("apply", "bases", "merging"))}
    alone = {name for name, one in started.items() if not isinstance(one, Bystander)}
    assert alone - of_targets == may_end
    assert "heart" in started
