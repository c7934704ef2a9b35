"""Commands in messages, completed so that they can be typed as printed for this configuration."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from replicator.model.operations.command_line import with_options

DEFAULT_CONFIG = Path("replicator.yaml")
CONFIG_VARIABLE = "REPLICATOR_CONFIG"
ANY_TARGET = "TARGET"
"""Placeholder in a message for the name of a target that its writer does not know."""
_NAMED: Final = re.compile(r"""`replicator ((?:'[^'\n]{0,999}'|"[^"\\\n]{0,999}"|[^`'"\\\n])++)`""")
"""A command in backquotes whose quotes are closed, as `typed` writes it: a name may hold both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedCommands:
    """Completes printed commands with the options of the call that prints them."""

    config: Path
    environ: Mapping[str, str]
    store: str | None = None
    """Target whose store alone is read; None: the log is read."""
    overrides: Sequence[str] = ()
    """Settings that were overridden by `--set`."""
    service: str | None = None
    """Address of the service; empty: the environment has it; None: no service is used."""

    def command(self, verb: str) -> str:
        """Return a verb and its arguments as they are typed."""
        if self.service is not None and _from_afar(verb):
            options = ["--service", self.service] if self.service else []
        else:
            options = [*self._configured(), *(w for one in self.overrides for w in ("--set", one))]
        return f"replicator {with_options(verb, shlex.join(options))}"

    def _configured(self) -> Sequence[str]:
        """Return what names the configuration where it is not found without."""
        is_found = self.config == DEFAULT_CONFIG and CONFIG_VARIABLE not in self.environ
        if is_found or self.environ.get(CONFIG_VARIABLE) == str(self.config):
            return ()
        return "--config", str(self.config)

    def complete(self, text: str, *, target: str | None = None) -> str:
        """Return a message whose commands, those in backquotes, can be typed as they are.

        Args:
            text: The message.
            target: Name that replaces `TARGET`; None: there are several, or none.
        """
        return _NAMED.sub(lambda found: f"`{self.command(self._named(found[1], target))}`", text)

    def _named(self, verb: str, target: str | None) -> str:
        is_of_a_store = verb == "points" or verb.startswith("verify ")
        if self.store is not None and is_of_a_store and "--from" not in verb:
            verb = f"{verb} --from {shlex.quote(self.store)}"
        if target is None:
            return verb
        return " ".join(
            shlex.quote(target) if word == ANY_TARGET else word for word in verb.split(" ")
        )


def _from_afar(verb: str) -> bool:
    from replicator.control.requests.verbs import is_accepted  # noqa: PLC0415 - few calls need it

    return is_accepted(verb.split())
