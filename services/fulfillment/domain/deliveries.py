"""The core of deliveries and what its handlers share: collecting the changes that one message brings about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from services.fulfillment.domain.operations import LookForCodes, TakeCode
from services.fulfillment.domain.pools import enrol, strike_off
from services.fulfillment.domain.states import (
    CodePool,
    Delivery,
    Item,
    ItemStatus,
    Product,
    Stock,
    StockHold,
    pool_of,
    row_key,
)
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemRevocationFailed,
    ItemRevoked,
    ItemWaiting,
    StockReleased,
)
from shared.core import Context, Core, Decision, Event, Operation, Ref, Timer, TimerMessage
from shared.core.fast_dataclasses import replace

deliveries = Core(Delivery)

Progress = ItemDelivered | ItemWaiting | ItemFailed | ItemRevoked | ItemRevocationFailed
"""Facts that say how much is still under way."""


class Change:
    """What one message changes about a delivery, collected item by item; `decision()` hands it all over."""

    def __init__(self, delivery: Delivery, context: Context) -> None:
        self.delivery = delivery
        self.context = context
        self.events: list[Event] = []
        self.operations: list[Operation] = []
        self.timers: list[Timer] = []
        self.cancel: list[type[TimerMessage] | str] = []
        self._beside: dict[Ref[Any], object] = {}
        self._given_back: Counter[str] = Counter()

    def put(self, item: Item) -> None:
        self.delivery = self.delivery.with_item(item)

    def reserve(self, item: Item) -> Item:
        self._set_stock(item, self._stock(item).reserve(item.quantity))
        return replace(item, stock=StockHold.RESERVED)

    def take(self, item: Item) -> Item:
        if item.stock is not StockHold.RESERVED:
            return item
        self._set_stock(item, self._stock(item).take(item.quantity))
        return replace(item, stock=StockHold.TAKEN)

    def give_back(self, item: Item) -> Item:
        """Units go back once: afterwards the item holds none."""
        if item.stock is StockHold.RESERVED:
            self._set_stock(item, self._stock(item).release(item.quantity))
        elif item.stock is StockHold.TAKEN:
            self._set_stock(item, self._stock(item).put_back(item.quantity))
        else:
            return item
        self._given_back[item.sku] += item.quantity
        return replace(item, stock=StockHold.GIVEN_BACK)

    def enrol(self, item: Item) -> Item:
        """Have the pool wake the order when codes come in."""
        ref = self._pool_ref(item)
        enrolled = enrol(self._row(ref), self.context.key)
        if enrolled is not None:
            self._beside[ref] = enrolled
        return replace(item, registered=enrolled is not None)

    def strike_off(self, item: Item) -> Item:
        """The item waits no more; the order neither, unless another item of it does."""
        if not item.registered:
            return item
        others = (o for o in self.delivery.waiting_for(pool_of(item) or "") if o.id != item.id and o.registered)
        if next(others, None) is None:
            ref = self._pool_ref(item)
            self._beside[ref] = strike_off(self._row(ref), self.context.key)
        return replace(item, registered=False)

    def look_for_codes(self, item: Item) -> Item:
        """Look without telling anybody: the item goes on waiting until a code is there."""
        self.operations.append(self.take_code(item))
        return replace(item, looking=True)

    def look_again(self, outcome: TakeCode.Failed) -> None:
        self.timers.append(Timer(self.context.at + outcome.look_again, LookForCodes()))

    def take_code(self, item: Item) -> TakeCode:
        return TakeCode(row_key(self.delivery.store, pool_of(item) or ""), self.context.key, item.id, item.quantity)

    def decision(self) -> Decision[Delivery]:
        events = self.events
        if self._given_back:
            events = [StockReleased(skus=dict(self._given_back)), *events]
        return Decision(
            self.delivery,
            events=counted(events, self.delivery.under_way()),
            operations=self.operations,
            timers=self.timers,
            cancel=self.cancel,
            other_states=self._beside,
        )

    def _row(self, ref: Ref[CodePool]) -> CodePool | None:
        found = self._beside.get(ref) or self.context.row(ref.kind, ref.key)
        assert found is None or isinstance(found, CodePool)
        return found

    def _pool_ref(self, item: Item) -> Ref[CodePool]:
        return Ref(CodePool, row_key(self.delivery.store, pool_of(item) or ""))

    def _stock(self, item: Item) -> Stock:
        ref = Ref(Stock, row_key(self.delivery.store, item.sku))
        found = self._beside.get(ref) or self.context.row(Stock, ref.key)
        assert isinstance(found, Stock), f"there is no stock of {ref.key}"
        return found

    def _set_stock(self, item: Item, stock: Stock) -> None:
        self._beside[Ref(Stock, row_key(self.delivery.store, item.sku))] = stock


def counted(events: list[Event], under_way: int) -> list[Event]:
    """Say on each fact how many are to come after it, so that the last one says 0."""
    answered: list[Event] = []
    for event in reversed(events):
        if isinstance(event, Progress):
            answered.append(event.model_copy(update={"under_way": under_way}))
            under_way += 1
        else:
            answered.append(event)
    return answered[::-1]


# Which rows a message needs, from the state that it meets


def held_stock(message: object, delivery: Delivery | None) -> Iterator[Ref[Any]]:
    """The stock that the delivery holds units of."""
    for item in delivery.items if delivery else ():
        if delivery and item.stock in (StockHold.RESERVED, StockHold.TAKEN):
            yield Ref(Stock, row_key(delivery.store, item.sku))


def joined_pools(message: object, delivery: Delivery | None) -> Iterator[Ref[Any]]:
    """The pools that know that the order waits."""
    for item in delivery.items if delivery else ():
        if delivery and item.registered:
            yield Ref(CodePool, row_key(delivery.store, pool_of(item) or ""))


def asked_pools(message: object, delivery: Delivery | None) -> Iterator[Ref[Any]]:
    """The pools of which codes are being taken."""
    for item in delivery.items if delivery else ():
        if delivery and pool_of(item) and item.may_get_a_code:
            yield Ref(CodePool, row_key(delivery.store, pool_of(item) or ""))


def everything_held(message: object, delivery: Delivery | None) -> Iterator[Ref[Any]]:
    yield from held_stock(message, delivery)
    yield from joined_pools(message, delivery)


def current_products(message: object, delivery: Delivery | None) -> Iterator[Ref[Any]]:
    """The latest configuration of items that are, or may have to be, begun anew."""
    for item in delivery.items if delivery else ():
        renewable = item.status in (ItemStatus.FAILED, ItemStatus.WAITING_CODE, ItemStatus.UNDER_WAY)
        if delivery and (renewable or (item.status is ItemStatus.PLANNED and item.action is None)):
            yield Ref(Product, row_key(delivery.store, item.sku))
