"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """A `Clock` that asks the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - this adapter is the one place that may ask
