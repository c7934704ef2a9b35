"""What a promotion says of the target that everybody will ask from then on."""

from datetime import UTC, datetime, timedelta

import pytest

from replicator.app.verbs.known_faults import KnownFaults
from replicator.cli.follow.promote import _show_faults
from replicator.cli.terminal.console import Paper
from replicator.model.checkpoint import OBJECT_MISSING, Gap
from replicator.model.event import CutNumber, Offset
from replicator.model.row import Kind
from replicator.model.store.proof import Proof

NOW = datetime(2026, 5, 1, tzinfo=UTC)
AGO = NOW - timedelta(hours=3)
GAP = Gap(
    kind=Kind.SEGMENT,
    key="wiki_1",
    datasource="wiki",
    reason=OBJECT_MISSING,
    detail="",
    opened=Offset(1),
    closed=None,
)
BAD = Proof(
    proved_at=AGO, level="rows", cut=CutNumber(3), offset=Offset(9), share=1.0, window=None,
    partial=False, objects=0, read_bytes=0, left=0, findings=5,
)  # fmt: skip


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (
            KnownFaults(looked_at=NOW, gaps=(GAP, GAP), bad=BAD, proved_at=AGO - timedelta(days=1)),
            [
                "lacks 2 rows of that cut: `replicator points` names these gaps",
                "`verify` found 5 differences at level rows 3.0 h ago, and none was good since",
                "it was compared with the log and found equal 27.0 h ago",
            ],
        ),
        (
            KnownFaults(looked_at=NOW, gaps=()),
            ["it was never compared with the log: `replicator verify standby --level rows`"],
        ),
        (
            KnownFaults(looked_at=NOW, gaps=(), unknown="the store is away"),
            ["results of `verify` cannot be read: the store is away"],
        ),
    ],
)
def test_what_is_known_to_be_wrong_is_said_before_a_target_becomes_a_primary(
    faults: KnownFaults, said: list[str]
):
    """A standby whose rows somebody has deleted lost what no log can count."""
    paper = Paper()
    with paper.capture() as captured:
        _show_faults(paper, "standby", faults)
    assert [line.strip() for line in captured.get().splitlines()] == said
