"""A verb that found bytes in their place says that it has not read them, and what would."""

import io

import pytest

from replicator.cli.bytes_there import unread, were_there
from replicator.cli.go_back.restore import show_done
from replicator.cli.prove import repair
from replicator.cli.terminal.console import Paper
from replicator.cli.terminal.screen import Screen
from replicator.model.checkpoint import Checkpoint
from replicator.model.load_spec import Location
from replicator.model.observation import ObjectCopied
from replicator.model.store.proof import Level
from replicator.services.restore.restorer import RestorePlan
from replicator.services.verification.verifier import Verification
from tests.unit.cli.test_names_are_data import made


def paper() -> tuple[Paper, io.StringIO]:
    found = Paper()
    found.file = shown = io.StringIO()
    return found, shown


@pytest.mark.parametrize("reused", [0, 1, 2])
def test_a_restore_names_the_proof_of_what_it_has_not_read(reused: int):
    screen, (console, shown) = Screen(quiet=True), paper()
    for _ in range(reused):
        screen.observe(
            ObjectCopied(location=Location("a/"), size_bytes=1, reused=True, streamed=False)
        )
    show_done(console, made(RestorePlan, absent=False), "near", screen, (), ())
    assert f"{were_there(reused)}\n" in shown.getvalue()
    told = "was not read; `replicator verify near --level checksum` reads it"
    assert (told in shown.getvalue()) == (reused > 0)


def test_one_is_one_and_two_are_two():
    assert [were_there(objects) for objects in range(3)] == [
        "0 were there",
        "1 was there",
        "2 were there",
    ]
    assert [*unread("near", 0)] == []


@pytest.mark.parametrize("level", [Level.EXISTS, Level.CHECKSUM])
def test_nothing_to_repair_says_whether_bytes_were_read(level: Level):
    console, shown = paper()
    found = Verification(checkpoint=made(Checkpoint, absent=False), level=level, objects=3)
    repair._show_plan(console, "near", found, (), "the source")
    assert "nothing to repair" in shown.getvalue()
    assert ("no bytes read; --level checksum" in shown.getvalue()) == (level is Level.EXISTS)
