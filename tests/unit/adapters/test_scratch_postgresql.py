"""Why a private PostgreSQL cannot be made, in few words; a real one is seen in tests/acceptance."""

from pathlib import Path

from replicator.adapters.scratch.postgresql import _failed, _not_started

OF_INITDB = """\
creating subdirectories ... ok
initdb: error: could not write file "pg_wal/1": No space left on device
initdb: removing contents of data directory"""


def test_a_full_disk_is_one_line_with_the_way_out(tmp_path: Path):
    error = _failed("PostgreSQL cannot fill it", tmp_path / "postgresql", OF_INITDB)
    assert str(error).startswith("PostgreSQL cannot fill it: its disk has too little room, ")
    assert "drill.folder" in error.hint
    assert "too little room" in str(_not_started(tmp_path, OF_INITDB))


def test_any_other_reason_is_in_its_own_words(tmp_path: Path):
    error = _not_started(tmp_path, "FATAL: no")
    assert str(error).endswith("does not start:\nFATAL: no")
    assert "see what PostgreSQL says" in error.hint
