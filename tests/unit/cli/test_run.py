"""Which services end `run`, `watch` and `apply` when they fail."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from replicator.app.configured.recorded_log import RecordedLog
from replicator.cli.follow import run as verbs
from replicator.cli.main import VERBS
from replicator.services.history.reader import History
from replicator.services.running.bystander import Bystander
from replicator.services.running.supervisor import Service
from tests.unit.control.stage import SETTINGS


def invoke(typed: Sequence[str], folder: Path) -> None:
    config = folder / "replicator.yaml"
    for name in ("source", "standby", "vault"):
        (folder / name).mkdir()
    config.write_text(SETTINGS.format(folder=folder))
    verb, *arguments = typed
    done = CliRunner().invoke(VERBS[verb].command(verb), [*arguments, "--config", str(config)])
    assert done.exit_code == 0, done.output


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
    invoke(typed, tmp_path)
    of_targets = {one for one in started if one.startswith(("apply", "bases", "merging"))}
    alone = {name for name, one in started.items() if not isinstance(one, Bystander)}
    assert alone - of_targets == may_end
    assert "heart" in started


@pytest.mark.parametrize("typed", [["run"], ["serve"]])
def test_no_client_of_a_process_that_runs_on_waits_for_each_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: Sequence[str]
):
    """On a trimmed log, one store that was away left the page without events, for all viewers."""

    async def supervise(_: Mapping[str, Service], **__: object) -> None:
        pass

    def waiting(_: RecordedLog) -> History:
        pytest.fail("a history that waits for each store was opened")

    monkeypatch.setattr(verbs, "supervise", supervise)
    monkeypatch.setattr(RecordedLog, "whole", property(waiting))
    invoke(typed, tmp_path)
