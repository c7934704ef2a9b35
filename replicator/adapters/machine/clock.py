"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """A `Clock` that reads the operating system's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this adapter is the one place that may ask
