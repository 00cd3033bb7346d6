"""Known bugs of deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item, StockHold
from services.fulfillment.domain.kinds.code import CodeKind, pool_of
from services.fulfillment.domain.operations import ReturnCodes
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.retry import Retry
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("restock twice by refund then return", slow=True)
def restocked_twice() -> Iterator[None]:
    real = DeliveryChange.return_units

    def return_units(self: DeliveryChange, item: Item, units: int, *, resaleable: bool) -> Item:
        """As if no refund had put the units back."""
        if item.stock is StockHold.RELEASED and resaleable:
            forgetful = replace(item, stock=StockHold.TAKEN, put_back=0, written_off=0)
            return real(self, forgetful, units, resaleable=resaleable)
        return real(self, item, units, resaleable=resaleable)

    with instead(DeliveryChange, "return_units", return_units):
        yield


@mutant("latest configuration used unasked", slow=True)
def latest_unasked() -> Iterator[None]:
    def replacement(self: Retry, item: Item) -> Product | None:
        return self._latest_of(item)

    with instead(Retry, "_replacement_of", replacement):
        yield


@mutant("a code that a customer has is given to another order", slow=True)
def code_given_twice() -> Iterator[None]:
    real = CodeKind.revoke

    def revoke(self: CodeKind, change: DeliveryChange, item: Item) -> None:
        """As if the customer had not seen it: it returns to its pool."""
        if pool := pool_of(item):
            change.request(ReturnCodes(change.state.row_key(pool), change.context.key, item.id))
            item = change.update_item(item, returning=item.returning + 1)
        real(self, change, item)

    with instead(CodeKind, "revoke", revoke):
        yield
