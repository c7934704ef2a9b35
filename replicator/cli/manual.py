"""Manual pages from the text of `--help`: `python -m replicator.cli.manual FOLDER`.

`man/` holds the generated pages, because the build of a wheel cannot import the program. A test
compares them with the present help. Their format is that of man(7).
"""

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import typer

from replicator.cli.help import EXAMPLES, is_itself
from replicator.cli.main import VERBS, app

PROGRAM: Final = "replicator"
FILES: Final[Mapping[str, str]] = {
    "replicator.yaml": "the configuration, unless --config or REPLICATOR_CONFIG names another file"
}


def pages() -> Mapping[str, str]:
    """Return all pages by file name."""
    found = {f"{PROGRAM}.1": _page(PROGRAM, _program())}
    for name, verb in VERBS.items():
        found |= _of_verb(f"{PROGRAM} {name}", verb.command(name), name)
    return found


def _of_verb(spoken: str, command: Any, verb: str) -> Mapping[str, str]:
    found = {f"{spoken.replace(' ', '-')}.1": _page(spoken, _verb(spoken, command, verb))}
    for name, one in _below(command).items():
        found |= _of_verb(f"{spoken} {name}", one, "")
    return found


def _below(command: Any) -> dict[str, Any]:
    """Return the subcommands of a verb, without the command that runs the verb itself."""
    found: dict[str, Any] = getattr(command, "commands", {})
    return {name: one for name, one in found.items() if not is_itself(name)}


def _itself(command: Any) -> Any:
    found = getattr(command, "commands", {})
    return next((one for name, one in found.items() if is_itself(name)), command)


def _page(spoken: str, lines: Iterator[str]) -> str:
    title = spoken.replace(" ", "-").upper()
    release = f"druid-replicator {version('druid-replicator')}"
    head = f'.TH "{_text(title)}" 1 "" "{release}" "User Commands"'
    return "\n".join([head, *lines]) + "\n"


def _program() -> Iterator[str]:
    root = typer.main.get_command(app)
    yield from _name(PROGRAM, str(root.help))
    yield from _synopsis(f"{PROGRAM} [OPTIONS] VERB [ARGUMENTS]")
    for group in dict.fromkeys(verb.group for verb in VERBS.values()):
        yield f'.SH "{_text(group.upper())}"'
        for name, verb in VERBS.items():
            if verb.group == group:
                yield from _item(f"{PROGRAM}-{name}(1)", verb.help)
    yield from _options(root)
    yield ".SH FILES"
    for name, what in FILES.items():
        yield from _item(name, what)


def _verb(spoken: str, command: Any, verb: str) -> Iterator[str]:
    below, command = _below(command), _itself(command)
    first, *rest = str(command.help or "").split("\n\n")
    yield from _name(spoken.replace(" ", "-"), " ".join(first.split()))
    yield from _synopsis(" ".join([spoken, *command.collect_usage_pieces(_context(command))]))
    yield ".SH DESCRIPTION"
    for paragraph in (first, *rest):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))
    yield from _options(command)
    if examples := EXAMPLES.get(verb):
        yield ".SH EXAMPLES"
        yield ".nf"
        yield from (_text(f"{PROGRAM} {line}") for line in examples)
        yield ".fi"
    yield '.SH "SEE ALSO"'
    yield ", ".join(_text(f"{one.replace(' ', '-')}(1)") for one in _related(spoken, below))


def _related(spoken: str, below: Mapping[str, Any]) -> Iterator[str]:
    words = spoken.split()
    yield from (" ".join(words[:length]) for length in range(1, len(words)))
    yield from (f"{spoken} {name}" for name in below)


def _name(name: str, what: str) -> Iterator[str]:
    yield ".SH NAME"
    yield f"{_text(name)} \\- {_text(what.rstrip('.'))}"


def _synopsis(line: str) -> Iterator[str]:
    yield ".SH SYNOPSIS"
    yield f".B {_text(line)}"


def _options(command: Any) -> Iterator[str]:
    context = _context(command)
    found = (param.get_help_record(context) for param in command.get_params(context))
    if not (records := [record for record in found if record is not None]):
        return
    yield ".SH OPTIONS"
    for spelled, what in records:
        yield from _item(" ".join(spelled.split()), " ".join(what.split()))


def _item(head: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_text(head)}"
    yield _text(text) or "\\&"


def _context(command: Any) -> Any:
    return command.context_class(command, info_name=command.name)


def _text(text: str) -> str:
    """Escape text for roff: readers can copy its dashes, and no line is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    escaped = escaped.replace("…", "...").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def main(folder: Path) -> None:
    """Write all pages into a folder, and delete the pages of verbs that no longer exist."""
    folder.mkdir(exist_ok=True)
    found = pages()
    for stale in set(folder.glob("*.1")) - {folder / name for name in found}:
        stale.unlink()
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
