"""How an order becomes a process: its command line, environment and output."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from replicator.adapters.machine.threads import Threads
from replicator.adapters.machine.verb_process import VerbEnded, VerbProcess
from replicator.adapters.sqlite.file import translated
from replicator.control.requests.planned import Planned, RestoreRequest
from replicator.control.requests.verb_request import VerbRequest
from replicator.model.operations.access import Role
from replicator.model.operations.command_line import SHOWN_SERVICE
from replicator.model.operations.job import AgreedPlan, JobAnswer

NO_DOCUMENT = "the process ended without a document, with code {code}"
PLANS = "plans"
COLUMNS = 120
"""Width of a job's text if the request does not give one."""
ASKING = frozenset({"REPLICATOR_SERVICE", "REPLICATOR_TOKEN", "REPLICATOR_TOKEN_FILE"})
"""Variables that a job's process does not get: it would send requests to its own service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """The terminal for which a job's text is written."""

    columns: int = COLUMNS
    service: str | None = None
    """Address of the service in commands; empty: none; None: they run on its own machine."""

    def environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a process that writes for this terminal."""
        kept = {name: one for name, one in environ.items() if name not in ASKING}
        asks = {} if self.service is None else {SHOWN_SERVICE: self.service}
        return {**kept, **asks, "COLUMNS": str(self.columns), "NO_COLOR": "1"}


HERE = Terminal()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything that a job is made from."""

    request: VerbRequest
    by: str
    planning: bool = False
    """Whether only the plan is made."""
    plan: AgreedPlan | None = None
    """The plan to carry out."""
    agreed: bool = False
    """Whether the configuration has consented, so that no principal needs to."""
    key: str | None = None
    """Idempotency key: two equal orders with one key are one job."""
    again: str | None = None
    """Id of the job that this one repeats."""
    terminal: Terminal = HERE

    @property
    def verb(self) -> str:
        """The verb's name in jobs."""
        return f"{self.request.name} plan" if self.planning else self.request.name

    @property
    def only_looks(self) -> bool:
        """Whether a viewer may send this order: such orders never delay an operator's."""
        return self.request.role is Role.VIEWER

    @property
    def exclusive(self) -> bool:
        """Whether the verb changes its targets."""
        return self.request.exclusive and not self.planning

    @property
    def request_json(self) -> dict[str, Any]:
        """The request as JSON."""
        return self.request.model_dump(mode="json", by_alias=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The installed program with one configuration, as the service itself was started.

    Attributes:
        config_path: The configuration file.
        overrides: Settings overridden on the command line, `KEY=VALUE`.
        environ: Variables of the service, including the stores' secrets.
        folder: Folder for plans while a verb reads them.
        document_bytes_max: Largest document of a verb.
    """

    config_path: Path
    overrides: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    document_bytes_max: int
    threads: Threads = field(
        default_factory=lambda: Threads("the control folder"), repr=False, compare=False
    )
    """What makes the calls of files in the folder."""

    def process(
        self, arguments: Sequence[str], *, terminal: Terminal, held: int | None
    ) -> VerbProcess:
        """Return one run of the program, which keeps the file `held` open, if given."""
        at = arguments.index("--") if "--" in arguments else len(arguments)
        common = [f"--config={self.config_path}", *(f"--set={one}" for one in self.overrides)]
        return VerbProcess(
            [*arguments[:at], *common, *arguments[at:]],
            terminal.environ(self.environ),
            document_bytes_max=self.document_bytes_max,
            held=held,
        )


class Launch:
    """The start of one order's process, and the file that the process needs.

    Args:
        order: Order to carry out.
        job_id: Id of the job, which names the file.
        program: Program that it starts.
    """

    def __init__(self, order: Order, job_id: str, program: Program) -> None:
        self._order, self._threads = order, program.threads
        self._file = program.folder / PLANS / f"{job_id}.json"

    async def arguments(self) -> list[str]:
        """Return the arguments of the order's process.

        Raises:
            TransientError: the file cannot be written.
        """
        with translated(self._file, "write the plan of a job"):
            return await self._arguments()

    async def _arguments(self) -> list[str]:
        order, request = self._order, self._order.request
        if not isinstance(request, Planned):
            return request.arguments()
        if order.planning and _has_file(request):
            await self._threads.finished(self._make_folder)
            words = request.arguments()
            return ["restore", "plan", f"--output={self._file}", *words[1:]]
        if order.plan is not None and _has_file(request):
            document = order.plan.document
            await self._threads.finished(lambda: self._write(document))
            return ["restore", "run", "--yes", "--", str(self._file)]
        if order.planning:
            return _with_options(request.arguments(), *request.looks)
        expect = [] if order.plan is None else [f"--expect={_expect(order.plan)}"]
        return _with_options(request.arguments(), "--yes", *expect)

    async def end(self) -> None:
        """Remove the file; one that stays is overwritten later, or never read."""
        with suppress(OSError):
            await self._threads.finished(lambda: self._file.unlink(missing_ok=True))

    def _make_folder(self) -> None:
        self._file.parent.mkdir(mode=0o700, exist_ok=True)

    def _write(self, document: Mapping[str, Any]) -> None:
        self._make_folder()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._file, flags, 0o600), "wb") as file:
            file.write(orjson.dumps(document))


def planned(order: Order, ended: VerbEnded) -> tuple[str, Mapping[str, Any]] | None:
    """Return the digest and the document of a plan; None: the verb produced none.

    A restore's plan ends with its own digest, which `restore run` checks; the digest of any other
    verb's plan is computed over the request and its effect.
    """
    result = _result(ended)
    if result is None:
        return None
    if _has_file(order.request):
        document = {name: value for name, value in result.items() if name != "file"}
        return str(document["digest"]), document
    hashed = orjson.dumps([order.request_json, result], option=orjson.OPT_SORT_KEYS)
    return sha256(hashed).hexdigest(), result


def answer_of(ended: VerbEnded) -> JobAnswer:
    """Return the output of a process in the form in which jobs store it."""
    written = None if ended.document is None else orjson.dumps(ended.document)
    return JobAnswer(written=written, stdout=ended.stdout, stderr=ended.stderr)


def error_answer(verb: str, kind: str, message: str, hint: str, ended: VerbEnded) -> JobAnswer:
    """Return an answer with an error document in the form of the verb's own."""
    written = orjson.dumps(error_document(verb, kind, message, hint))
    return JobAnswer(written=written, stdout=ended.stdout, stderr=ended.stderr)


def error_document(verb: str, kind: str, message: str, hint: str) -> Mapping[str, Any]:
    """Return the document of a verb that printed none itself."""
    error = {"type": kind, "message": message, "hint": hint}
    return {"schema": "replicator.v1", "command": verb, "error": error}


def _has_file(request: VerbRequest) -> bool:
    """Return whether the plan is a file of `restore plan`, which `restore run` checks itself."""
    return isinstance(request, RestoreRequest) and not request.quick


def _expect(plan: AgreedPlan) -> str:
    """Return the options that bind a process to the plan that it carries out."""
    # A stored plan without `expect` is refused by its process, which says to make it again.
    return str(plan.document.get("expect", "plan=of-another-release"))


def _with_options(arguments: Sequence[str], *options: str) -> list[str]:
    """Return a command line with further options before its `--`."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return [*arguments[:at], *options, *arguments[at:]]


def _result(ended: VerbEnded) -> Mapping[str, Any] | None:
    document = ended.document or {}
    found = document.get("result")
    return found if isinstance(found, dict) else None
