"""Settings of retries."""

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from replicator.config.values import Positive, Section

if TYPE_CHECKING:
    from replicator.model.operations.retry import RetryPolicy


class RetrySettings(Section):
    """Number of attempts and delays after transient failures."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 8
    """Number of attempts before a failure counts as lasting; 8 take about a minute."""
    delay_initial_s: Positive = 0.2
    """Longest wait before the second attempt, in seconds; doubled for each further attempt."""
    delay_max_s: Positive = 30.0
    """Longest wait between two attempts, in seconds; a server's restart takes about as long."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.delay_initial_s > self.delay_max_s:
            raise ValueError("delay_initial_s is larger than delay_max_s")
        return self

    @property
    def policy(self) -> "RetryPolicy":
        """The policy that these settings describe."""
        from replicator.model.operations.retry import RetryPolicy  # noqa: PLC0415 - for who retries

        return RetryPolicy(
            attempts_max=self.attempts_max,
            delay_initial_s=self.delay_initial_s,
            delay_max_s=self.delay_max_s,
        )
