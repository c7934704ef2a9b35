import subprocess
import sys

import pytest

from replicator.cli.main import VERBS


@pytest.mark.parametrize("name", VERBS)
def test_the_list_of_verbs_says_what_the_verb_itself_says(name: str):
    said = VERBS[name].command(name).help.split("\n\n")[0]
    assert " ".join(said.split()) == VERBS[name].help


def test_the_list_of_verbs_imports_none_of_them():
    """Importing them all takes more than a second of one core."""
    code = (
        "import sys, replicator.cli.main;"
        " print(*(name for name in sys.modules if name.startswith('replicator.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {
        "replicator.cli",
        "replicator.cli.help",
        "replicator.cli.main",
        "replicator.cli.outlets",
    }
