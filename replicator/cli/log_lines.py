"""Log lines on stderr: for people, or as JSON for programs."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import structlog

# structlog takes a while to import: most verbs log nothing


@dataclass(frozen=True, slots=True)
class _Wish:
    level: str
    environ: Mapping[str, str]


_wished: list[_Wish] = []
_made: list["structlog.stdlib.BoundLogger"] = []


def configure_logging(level: str, environ: Mapping[str, str]) -> None:
    """Say how lines are to be logged, once there is one."""
    _wished[:] = [_Wish(level, environ)]
    _made.clear()


def logger() -> Any:
    """Return the logger, configured; also for services that ask structlog for theirs."""
    if not _made:
        _made.append(_configured(_wished[0] if _wished else _Wish("INFO", {})))
    return _made[0]


def _configured(wish: _Wish) -> Any:
    import structlog  # noqa: PLC0415 - see above

    colors = sys.stderr.isatty() and "NO_COLOR" not in wish.environ
    level = logging.getLevelNamesMapping()[wish.level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=16),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    return structlog.get_logger("replicator")
