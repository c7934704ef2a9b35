"""The five questions of `init`; each answer is tried before the next question."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from rich.console import Console

from replicator.app.verbs.trying import Trying
from replicator.cli.terminal.console import ask, paper
from replicator.cli.terminal.findings import show_findings
from replicator.config import KafkaLogSettings
from replicator.config.file.starter import STORAGES, Part, Starter, log_of, login_of, storage_of
from replicator.errors import ConfigError, ReplicatorError, TransientError
from replicator.services.checkup.finding import Finding, failed

ARCHIVE: Final = "archive"
SOURCE_PASSWORD: Final = "SOURCE_PASSWORD"  # noqa: S105 - the name of a variable
REPLICATION_FACTOR, MIN_INSYNC_REPLICAS = 3, 2
"""Defaults of the log if there are enough brokers."""

_PASSWORD: Final = "    its password (not written down; Enter: it has none)"  # noqa: S105 - a question

Tried: TypeAlias = tuple[Starter, list[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, and the flag that answers it."""

    flag: str
    words: str
    answer: str | None
    """Answer that the flag gives; None if it is absent."""
    default: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordVariables:
    """Names of the variables with the two passwords, if flags give them."""

    source: str | None
    target: str | None


class Interview:
    """Asks, tries and keeps the answers; typed passwords are added to `environ`."""

    def __init__(
        self,
        starter: Starter,
        trying: Trying,
        environ: dict[str, str],
        variables: PasswordVariables,
        *,
        can_ask: bool,
        target_name: str | None,
    ) -> None:
        self.starter = starter
        self._trying, self._environ, self._variables = trying, environ, variables
        self._can_ask, self._target_name = can_ask, target_name
        self._console: Console = paper() if can_ask else Console(quiet=True)
        self.found: list[Finding] = []
        """Findings of the trials."""

    async def hold(self, questions: Mapping[str, Question]) -> Starter:
        """Ask the questions and return the answers.

        Raises:
            ConfigError: a flag's answer does not work, and there is no terminal to ask again.
            TransientError: the same, because a server does not answer.
        """
        takes = (
            ("source_metadata", self._source_metadata),
            ("source_storage", self._source_storage),
            ("log", self._log),
            ("target", self._target),
            ("target_storage", self._target_storage),
        )
        for number, (name, take) in enumerate(takes, start=1):
            await self._settle(f"{number}/{len(takes)}", questions[name], take)
        return self.starter

    async def _settle(
        self, place: str, question: Question, take: Callable[[str], Awaitable[Tried]]
    ) -> None:
        text = question.answer
        while True:
            if text is None:
                text = self._answer(place, question)
            starter, findings = await _tried(take, text, self.starter)
            show_findings(self._console, findings)
            wrong = [one for one in findings if not one.good]
            if not wrong:
                self.starter = starter
                self.found += findings
                return
            if not self._can_ask:
                one = wrong[0]
                kind = TransientError if one.may_pass else ConfigError
                raise kind(f"{question.flag}: {one.what}: {one.detail}", hint=one.hint)
            text = None

    def _answer(self, place: str, question: Question) -> str:
        if question.default is not None and not self._can_ask:
            return question.default
        shown = "" if question.default is None else f" [{question.default}]"
        while not (typed := ask(f"{place} {question.words}{shown}").strip()):
            if question.default is not None:
                return question.default
        return typed

    async def _source_metadata(self, text: str) -> Tried:
        variable = self._variables.source

        async def tried(part: Part) -> Tried:
            starter = replace(self.starter, source_metadata=part)
            return starter, await self._trying.source_metadata(starter.settings())

        return await self._logged_in(text, variable, SOURCE_PASSWORD, tried)

    async def _source_storage(self, text: str) -> Tried:
        starter = replace(self.starter, source_storage=storage_of(text))
        return starter, await self._trying.source_storage(starter.settings())

    async def _log(self, text: str) -> Tried:
        part = dict(log_of(text))
        if part["type"] == "kafka" and "replication_factor" not in part:
            part |= await self._copies(part)
        starter = replace(self.starter, log=part)
        return starter, await self._trying.log(starter.settings())

    async def _copies(self, part: Part) -> Part:
        """Return the settings with as many replicas of the topic as there are brokers."""
        settings = replace(self.starter, log=part).settings()
        assert isinstance(settings.log, KafkaLogSettings)  # noqa: S101 - for the type checker
        brokers = await self._trying.brokers(settings.log, settings.watched.name)
        factor = min(REPLICATION_FACTOR, brokers)
        least = min(MIN_INSYNC_REPLICAS, factor)
        return {"replication_factor": factor, "min_insync_replicas": least}

    async def _target(self, text: str) -> Tried:
        if text == ARCHIVE:
            name = self._target_name or ARCHIVE
            starter = replace(self.starter, target_name=name, target_metadata=None)
            detail = "bytes and history alone, no cluster"
            return starter, [Finding(what="target", good=True, detail=detail)]
        name = self._target_name or "standby"

        async def tried(part: Part) -> Tried:
            starter = replace(self.starter, target_name=name, target_metadata=part)
            return starter, await self._trying.target_metadata(starter.settings())

        default = f"{name.upper().replace('-', '_')}_PASSWORD"
        return await self._logged_in(text, self._variables.target, default, tried)

    async def _target_storage(self, text: str) -> Tried:
        starter = replace(self.starter, target_storage=storage_of(text))
        return starter, await self._trying.target_storage(starter.settings())

    async def _logged_in(
        self,
        text: str,
        variable: str | None,
        default: str,
        tried: Callable[[Part], Awaitable[Tried]],
    ) -> Tried:
        """Try a metadata store, with a password from the URL, the environment or the keyboard.

        A refused password is forgotten, so that the next answer gets its own. No password is asked
        for if something else is wrong, like the database's name.
        """
        login, name = login_of(text), variable or default
        before = self._environ.get(name)
        with_password = {**login.part, "password_env": name}
        if login.password is not None:
            self._environ[name] = login.password
        works = False
        try:
            if variable is None or name in self._environ or not self._can_ask:
                is_known = name in self._environ or variable is not None
                starter, findings = await tried(with_password if is_known else login.part)
                works = not any(one.wants_login for one in findings)
                if works or not self._can_ask:
                    return starter, findings
                show_findings(self._console, findings)
                if not (typed := ask(_PASSWORD, hidden=True)):
                    return starter, findings
            else:
                typed = ask(_PASSWORD, hidden=True)
            self._environ[name] = typed
            starter, findings = await tried(with_password)
            works = not any(one.wants_login for one in findings)
            return starter, findings
        finally:
            if not works:
                self._forget(name, before)

    def _forget(self, name: str, before: str | None) -> None:
        """Restore a variable's value from before an answer that did not work."""
        self._environ.pop(name, None)
        if before is not None:
            self._environ[name] = before


async def _tried(take: Callable[[str], Awaitable[Tried]], text: str, before: Starter) -> Tried:
    try:
        return await take(text)
    except ReplicatorError as exc:
        return before, [failed("answer", exc)]


def questions(
    *,
    source_metadata: str | None,
    source_storage: str | None,
    log: str | None,
    target: str | None,
    target_storage: str | None,
    source_name: str,
) -> Mapping[str, Question]:
    """Return the five questions with the answers that flags give."""
    return {
        "source_metadata": Question(
            flag="--source-metadata",
            words="Metadata store of the source, like postgresql://user@host/database",
            answer=source_metadata,
        ),
        "source_storage": Question(
            flag="--source-storage",
            words=f"Deep storage of the source ({STORAGES} hdfs://…)",
            answer=source_storage,
        ),
        "log": Question(
            flag="--log",
            words="Event log: a file on this machine, or kafka://broker1:9092,broker2:9092",
            answer=log,
            default=f"/var/lib/druid-replicator/{source_name}.log",
        ),
        "target": Question(
            flag="--target",
            words=f"Metadata store of the target, or {ARCHIVE!r} for bytes and history alone",
            answer=target,
        ),
        "target_storage": Question(
            flag="--target-storage",
            words="Deep storage of the target, never inside the source's",
            answer=target_storage,
        ),
    }
