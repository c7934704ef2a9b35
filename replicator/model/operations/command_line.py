"""Commands that are printed for people to type: names from data are words of a shell."""

import shlex


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
