"""Parsing of arguments and options: times, offsets, intervals, overridden settings."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from replicator.config.file.yaml_file import scalar
from replicator.errors import ConfigError
from replicator.model.druid.interval import Interval, interval
from replicator.model.event import Offset
from replicator.model.timestamps import FIRST_YEAR, LAST_YEAR

OFFSET_MAX = 10**18 - 1
"""Largest accepted offset, which no log reaches and which fits into 64 bits."""
LIST_MAX = 10_000_000
"""Largest `--limit`."""


def parse_overrides(given: tuple[str, ...]) -> dict[str, object]:
    """Return `--set` flags as dotted keys and values.

    Raises:
        ConfigError: a flag is not KEY=VALUE, or a key is given twice.
    """
    found: dict[str, object] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: write it as KEY=VALUE")
        if key in found:
            raise ConfigError(f"--set {key} is given twice", hint="give it once, with one value")
        try:
            found[key] = scalar(value)
        except ConfigError as exc:
            raise ConfigError(f"--set {key}: {exc}", hint=exc.hint) from None
    return found


def parse_time(text: str) -> datetime:
    """Return a time, whose text must have a zone as in ISO 8601, or the name of a zone at the end.

    Raises:
        ConfigError: the text is not an ISO 8601 time, has no zone, or its year is implausible.
    """
    written, _, zone = text.strip().rpartition(" ")
    if written and zone[:1].isalpha():
        return parse_time(_in_zone(written, parse_zone(zone)))
    try:
        time = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(
            f"{text!r} is not a time like 2026-01-31T12:00:00Z",
            hint="use '10m ago', or a time of day with its zone like '12:00 local'",
        ) from exc
    if time.tzinfo is None:
        raise ConfigError(
            f"{text!r} has no zone",
            hint=f"use {text}Z for UTC, or {text}+01:00 and the like, or '{text} local'",
        )
    # Other years are typing errors, and some logs cannot look them up.
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ConfigError(f"{text!r} is not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return time.astimezone(UTC)


def parse_zone(name: str) -> tzinfo | None:
    """Return the time zone of a name; None for `local`, this machine's zone.

    Raises:
        ConfigError: there is no such zone.
    """
    if name == "local":
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"{name!r} is no zone", hint="use UTC, local, or a name like Europe/Berlin"
        ) from None


def _in_zone(written: str, zone: tzinfo | None) -> str:
    try:
        time = datetime.fromisoformat(written)
    except ValueError as exc:
        raise ConfigError(f"{written!r} is not a time like 2026-01-31T12:00:00") from exc
    if time.tzinfo is not None:
        raise ConfigError(f"{written!r} has a zone already")
    return (time.astimezone() if zone is None else time.replace(tzinfo=zone)).isoformat()


def parse_offset(text: str) -> Offset:
    """Return an offset.

    Raises:
        ConfigError: the text is not a whole number, or is too large for a log.
    """
    if text.isascii() and text.isdecimal() and len(text) < len(str(OFFSET_MAX)):
        return Offset(int(text))
    raise ConfigError(f"{text!r} is no offset")


def parse_interval(text: str) -> Interval:
    """Return the interval in a text like START/END.

    Raises:
        ConfigError: the text is not an interval.
    """
    start, separator, end = text.partition("/")
    try:
        if separator:
            return interval(start, end)
    except ValueError as exc:
        raise ConfigError(f"--interval {text}: {exc}") from None
    raise ConfigError(f"--interval {text}: write it like 2026-01-01/2026-01-02")
