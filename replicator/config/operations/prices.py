"""What an operator pays for requests and bytes."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from replicator.config.values import Section

if TYPE_CHECKING:
    from replicator.model.plans.cost import Prices

Price = Annotated[float, Field(ge=0, le=1e6)]


class PricesSettings(Section):
    """Prices by which `restore plan` says what a restore costs; default: it does not say.

    Of the storage that is written to, but for `egress_gib`, which is that of the origin.
    """

    currency: Annotated[str, Field(min_length=1, max_length=16)]
    """Said beside each sum, like USD."""
    request_get: Price = 0.0
    """Price of one request that reads; price lists often name 1,000 or 10,000 requests."""
    request_put: Price = 0.0
    """Price of one request that writes or copies."""
    egress_gib: Price = 0.0
    """Price of one GiB that leaves a storage; copies that a service makes itself leave nothing."""
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
