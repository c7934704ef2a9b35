"""Prices of requests and bytes."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from replicator.config.values import Section

if TYPE_CHECKING:
    from replicator.model.plans.cost import Prices

Price = Annotated[float, Field(ge=0, le=1e6)]


class PricesSettings(Section):
    """Prices with which `restore plan` estimates the price of a restore.

    All of them are prices of the storage that is written to, except for `egress_gib`, which is a
    price of the storage that is read.
    """

    currency: Annotated[str, Field(min_length=1, max_length=16)]
    """Currency, like USD."""
    request_get: Price = 0.0
    """Price of one read request; price lists often name that of 1,000 or 10,000 requests."""
    request_put: Price = 0.0
    """Price of one write or copy request."""
    egress_gib: Price = 0.0
    """Price of one GiB that leaves a storage; copies made by a storage service do not leave it."""
    storage_gib_month: Price = 0.0
    """Price of one GiB kept for a month."""

    @property
    def prices(self) -> "Prices":
        """The prices that these settings describe."""
        from replicator.model.plans.cost import Prices  # noqa: PLC0415 - for who plans

        return Prices(
            currency=self.currency,
            request_get=self.request_get,
            request_put=self.request_put,
            egress_gib=self.egress_gib,
            storage_gib_month=self.storage_gib_month,
        )
