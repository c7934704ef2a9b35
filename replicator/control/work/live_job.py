"""A job that has not ended: its waiters, its process, and its progress."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from replicator.adapters.machine.verb_process import VerbProcess
from replicator.control.work.launch import Order
from replicator.model.operations.job import Job, JobProgress


@dataclass(slots=True, kw_only=True)
class LiveJob:
    """A waiting or running job."""

    job: Job
    order: Order
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    ending: str = ""
    """Reason for ending the job; empty: it is not being ended."""
    _process: VerbProcess | None = None
    _step_began_s: float = 0.0
    """Loop time at which the current step began."""

    def runs_as(self, process: VerbProcess, drain_s: float) -> None:
        """Record the job's next process, which ends at once if the job is being ended."""
        self._process = process
        self._step_began_s = asyncio.get_running_loop().time()
        if self.ending:
            self.end(self.ending, drain_s)

    def end(self, why: str, drain_s: float) -> None:
        """End the job's process: it may clean up for `drain_s` seconds, then it is killed."""
        self.ending = self.ending or why
        if self._process is not None:
            self._process.terminate()
            asyncio.get_running_loop().call_later(drain_s, self._process.kill)

    def progress(self, report: Mapping[str, Any]) -> None:
        """Record the job's progress; the time left follows from the rate so far."""
        loop_s, before = asyncio.get_running_loop().time(), self.job.progress
        if before is None or before.what != report["what"]:
            self._step_began_s = loop_s
        done, total = int(report["done"]), report["total"]
        took_s = loop_s - self._step_began_s
        eta_s = took_s / done * max(0, total - done) if total is not None and done else None
        progress = JobProgress(
            what=str(report["what"]), done=done, total=total, unit=str(report["unit"]), eta_s=eta_s
        )
        self.job = replace(self.job, progress=progress)
