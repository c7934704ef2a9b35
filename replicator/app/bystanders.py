"""What stands by the copies in one process: a failure is a log line, and it begins anew."""

from replicator.errors import DefectError, expected, trace
from replicator.services.running.bystander import AGAIN_S, Bystander
from replicator.services.running.supervisor import Service


def bystander(name: str, service: Service) -> Bystander:
    """Return a service whose failures are logged, and end no other service."""

    def failed(exc: Exception) -> None:
        import structlog  # noqa: PLC0415 - takes a while, and most verbs log nothing

        error = expected(exc)
        values = {
            "service": name,
            "reason": str(error),
            "hint": error.hint,
            "looks_again_s": AGAIN_S,
        }
        if isinstance(error, DefectError):
            values["traceback"] = trace(exc)
        structlog.get_logger("replicator").error("failed, and begins anew", **values)

    return Bystander(service, failed=failed)
