"""The manual pages in `man/` are what the program says of itself, and a page reader takes them."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from replicator.cli.main import VERBS
from replicator.cli.manual import pages

ROOT = Path(__file__).parents[3]
MAN = ROOT / "man"


def test_they_are_those_of_the_help():
    """`make man` writes them again."""
    kept = {path.name: path.read_text() for path in MAN.iterdir()}
    made = pages()
    assert kept.keys() == made.keys()
    assert [name for name, text in made.items() if kept[name] != text] == []


def test_each_verb_has_one_and_the_wheel_has_all():
    assert {f"replicator-{name}.1" for name in VERBS} <= pages().keys()
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    assert hatch["build"]["targets"]["wheel"]["shared-data"] == {"man": "share/man/man1"}


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff here")
def test_groff_finds_nothing_wrong():
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", *sorted(map(str, MAN.iterdir()))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
