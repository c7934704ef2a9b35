"""Log lines on stderr, as text or as JSON."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from replicator.cli.outlets import LOG
from replicator.model.operations.shown import printable

if TYPE_CHECKING:
    import structlog
    from structlog.typing import EventDict

# structlog takes a while to import: most verbs log nothing


@dataclass(frozen=True, slots=True)
class _LogOptions:
    level: str
    environ: Mapping[str, str]
    as_json: bool = False


_chosen: list[_LogOptions] = []
_made: list["structlog.stdlib.BoundLogger"] = []


def configure_logging(level: str, environ: Mapping[str, str], *, as_json: bool = False) -> None:
    """Choose the format of log lines; the logger is created with the first line."""
    _chosen[:] = [_LogOptions(level, environ, as_json)]
    _made.clear()


def logger() -> Any:
    """Return the configured logger; services that use structlog get the same configuration."""
    if not _made:
        _made.append(_configured(_chosen[0] if _chosen else _LogOptions("INFO", {})))
    return _made[0]


def _configured(options: _LogOptions) -> Any:
    import structlog  # noqa: PLC0415 - see above

    colors = sys.stderr.isatty() and "NO_COLOR" not in options.environ
    level = logging.getLevelNamesMapping()[options.level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_losses,
            _as_shown,
            structlog.processors.JSONRenderer(default=str)
            if options.as_json
            else structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=18),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    return structlog.get_logger("replicator")


def _with_losses(_: object, __: str, event: "EventDict") -> "EventDict":
    """Say how many lines before this one could not be written."""
    return {**event, "lines_lost": LOG.lost, "lost_by": LOG.fault} if LOG.lost else event


def _as_shown(_: object, __: str, event: "EventDict") -> "EventDict":
    """Make control characters in a log line's values visible."""
    return {name: _shown_value(value) for name, value in event.items()}


def _shown_value(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case list() | tuple():
            return [_shown_value(one) for one in value]
        case _:
            return value
