"""Commands that are printed for people to type, and how a service starts one as a job.

In a printed command a name from data is one word of a shell.
"""

import shlex
from typing import Final

SHOWN_SERVICE: Final = "REPLICATOR_ASKED_AT"
"""Environment variable of a job's process: how its client's terminal names the service."""
CHANNEL: Final = "REPLICATOR_JOB_CHANNEL"
"""Environment variable with the descriptor of the pipe through which a job reports."""


def typed(verb: str, name: str, options: str = "") -> str:
    """Return a verb with its argument and its options as they are typed.

    A name that begins with a dash would be taken for an option: it comes last, after `--`.
    """
    word = shlex.quote(name)
    before = f" {options}" if options else ""
    return f"{verb}{before} -- {word}" if name.startswith("-") else f"{verb} {word}{before}"


def with_options(command: str, options: str) -> str:
    """Return a command with further options, before the `--` that ends them."""
    if not options:
        return command
    words = shlex.split(command) if " -- " in command else []
    if "--" not in words:
        return f"{command} {options}"
    at = words.index("--")
    return f"{shlex.join(words[:at])} {options} {shlex.join(words[at:])}"
