"""Carries out a live job: its processes one after the other, and their outcome."""

from dataclasses import replace
from typing import Any, Final

from replicator.adapters.machine.verb_process import VerbEnded
from replicator.control.work.job_locks import JobLocks
from replicator.control.work.launch import (
    NO_DOCUMENT,
    Launch,
    Program,
    answer_of,
    error_answer,
)
from replicator.control.work.live_job import LiveJob
from replicator.model.operations.job import Job, JobAnswer, JobState

STOPPED: Final = "the service was stopped"


class JobProcesses:
    """Runs the processes of jobs, each under the lock of its job.

    Args:
        program: Program that they run.
        locks: Locks of the jobs that have processes.
        drain_s: Longest clean-up of a process before it is killed, in seconds.
    """

    def __init__(self, program: Program, locks: JobLocks, drain_s: float) -> None:
        self._program, self._locks, self._drain_s = program, locks, drain_s

    async def run(self, live: LiveJob) -> tuple[VerbEnded, JobAnswer]:
        """Run a job's process; return how it ended, and its output."""
        launch = Launch(live.order, live.job.id, self._program)
        held = await self._locks.take(live.job.id)
        try:
            ended = await self._one(live, await launch.arguments(), held)
            return ended, _answer(live, ended)
        finally:
            await launch.end()
            await self._locks.give_back(live.job.id, held)

    async def _one(self, live: LiveJob, arguments: list[str], held: int) -> VerbEnded:
        process = self._program.process(arguments, terminal=live.order.terminal, held=held)
        live.runs_as(process, self._drain_s)
        return await process.run(live.progress)


def outcome(live: LiveJob, ended: VerbEnded, answer: JobAnswer) -> Job:
    """Return the final state of a job whose processes have ended: a result always counts."""
    job = replace(live.job, progress=None, exit_code=ended.code if ended.code >= 0 else None)
    document: Any = answer.document or {}
    if "result" in document:
        return replace(job, state=JobState.DONE)
    if live.ending == STOPPED:
        return replace(job, state=JobState.INTERRUPTED, why=STOPPED)
    if live.ending and ended.document is None:
        return replace(job, state=JobState.CANCELLED, why=live.ending)
    return replace(job, state=JobState.FAILED, why=str(document["error"]["message"]))


def _answer(live: LiveJob, ended: VerbEnded) -> JobAnswer:
    if ended.document is not None:
        return answer_of(ended)
    if ended.too_large:
        return error_answer(
            live.job.verb,
            "RefusedError",
            "its document is larger than web.control.jobs.answer_bytes_max",
            "ask for less with `limit`",
            ended,
        )
    return error_answer(
        live.job.verb,
        "TransientError",
        live.ending or NO_DOCUMENT.format(code=ended.code),
        "stderr has more, if the process could still write; the job can be run again",
        ended,
    )
