"""Environment variables through which a service and the process of a job find each other."""

from typing import Final

ASKED_AT: Final = "REPLICATOR_ASKED_AT"
"""Environment variable of a job's process: how its client's terminal names the service."""
CHANNEL: Final = "REPLICATOR_JOB_CHANNEL"
"""Environment variable with the descriptor of the pipe through which a job reports."""
