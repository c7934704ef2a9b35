"""Environment variables that a service gives to the process of a job."""

from typing import Final

ASKED_AT: Final = "REPLICATOR_ASKED_AT"
"""How the client's terminal names the service."""
CHANNEL: Final = "REPLICATOR_JOB_CHANNEL"
"""The descriptor of the pipe through which the job reports."""
