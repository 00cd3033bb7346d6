"""Messages in any order: units are conserved, nothing is delivered twice, nothing before it is paid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fulfillment.domain.change import Progress
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, StockHold
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    GrantAccess,
    RecheckPools,
    ReturnCodes,
    RevokeAccess,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.domain.pool import CodePool
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderCancelled
from shared.contracts.codes import AddCodes
from shared.contracts.delivery_work import HoldDelivery, ReleaseDelivery, StartDelivery
from shared.contracts.fulfillment import (
    Action,
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    DeliveryCodesArrived,
    ItemDelivered,
    ItemProgressed,
    ItemRevoked,
    RetryDelivery,
    SettleDelivery,
    Shipment,
    ShipOrder,
    StockReleased,
)
from shared.core import Message, Operation, Outcome
from tests.unit.fulfillment.examples import LINK, PAID, PRODUCTS, STORE, Shop, line, placed, refund
from tests.unit.fulfillment.test_reservation import EXPIRED

T = TypeVar("T")

SKUS = [*PRODUCTS, "unconfigured"]
Parts = ItemDelivered | ItemProgressed
EXTRAS = ["offer/gold", "order/every"]
ORDERS = ["o-1", "o-2", "o-3", "o-4"]
lines = st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 3)), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("place"), st.sampled_from(ORDERS), lines),
    st.tuples(st.sampled_from(["pay", "pay", "cancel", "expire", "wake", "arrive"]), st.sampled_from(ORDERS)),
    st.tuples(
        st.sampled_from(["refund", "keep", "write off", "ship", "retry", "latest"]),
        st.sampled_from(ORDERS),
        st.sets(st.integers(1, 4), max_size=2),
    ),
    st.tuples(st.just("settle"), st.sampled_from(ORDERS), st.integers(1, 4)),
    st.tuples(st.sampled_from(["hold", "release", "start"]), st.sampled_from(ORDERS)),
    st.tuples(st.just("configure"), st.sampled_from(SKUS), st.sampled_from(list(PRODUCTS)), st.booleans()),
    st.tuples(
        st.just("bundle"), st.sampled_from([*SKUS, *EXTRAS]), st.lists(st.sampled_from(list(PRODUCTS)), max_size=3)
    ),
    st.tuples(st.just("receive"), st.sampled_from(SKUS), st.integers(1, 4)),
    st.tuples(st.just("codes"), st.integers(1, 4)),
    st.tuples(st.just("answer"), st.integers(0, 20), st.sampled_from(["done", "done", "failed", "unresolved"])),
    st.tuples(st.just("answer"), st.integers(0, 20), st.just("done")),
)
ABOUT_ORDERS: dict[str, Message] = {
    "pay": PAID,
    "cancel": OrderCancelled(),
    "expire": EXPIRED,
    "arrive": DeliveryCodesArrived(pool="keys"),
}
OF_ORDERS: dict[str, dict[str, object]] = {
    "o-1": {"offer": "gold"},
    "o-4": {"store": STORE.model_copy(update={"start_by_hand": True})},
}
BY_STAFF: dict[str, Message] = {
    "hold": HoldDelivery(reason="Looks odd."),
    "release": ReleaseDelivery(reason="Is right."),
    "start": StartDelivery(),
}
ABOUT_ITEMS: dict[str, Callable[..., Message]] = {
    "refund": refund,
    "keep": lambda *items: refund(*items, remove_access=()),
    "write off": lambda *items: refund(*items, restock=items[1:]),
    "ship": lambda *items: ShipOrder(carrier="DHL", tracking="T", items=items),
    "retry": lambda *items: RetryDelivery(items=items),
    "latest": lambda *items: RetryDelivery(items=items, latest=True),
}


@dataclass
class World:
    """The shop, and an outside that keeps its own books."""

    shop: Shop = field(default_factory=lambda: Shop(poster=5))
    free_codes: list[str] = field(default_factory=list)
    taken: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    access: set[tuple[str, str]] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    settled: set[tuple[str, str]] = field(default_factory=set)
    made: int = 0

    def do(self, step: tuple[object, ...]) -> None:
        shop = self.shop
        match step:
            case "place", str(order), list(ordered):
                lines = (line(str(n), sku, units) for n, (sku, units) in enumerate(ordered, 1))
                event = placed(*lines).model_copy(update=OF_ORDERS.get(order, {}))
                shop.hear(event, order)
            case str(word), str(order) if word in BY_STAFF:
                shop.offer(BY_STAFF[word], order)
            case "wake", str(order):
                if shop.timer(RecheckPools, order):
                    shop.let_go_off(RecheckPools, order)
            case str(word), str(order):
                shop.hear(ABOUT_ORDERS[word], order)
                self.paid |= {order} if word == "pay" else set()
            case str(word), str(order), set(items):
                shop.offer(ABOUT_ITEMS[word](*map(str, items)), order)
            case "settle", str(order), int(item):
                self.settle(order, str(item))
            case "configure", str(sku), str(product), bool(tracked):
                shop.configure(sku, PRODUCTS[product], stock=0 if tracked else None)
            case "bundle", str(name), list(kinds):
                self.configure(name, tuple(PRODUCTS[kind] for kind in kinds))
            case "receive", str(sku), int(units):
                shop.configure(sku, PRODUCTS.get(sku, Shipment()), stock=units)
            case "codes", int(count):
                codes = tuple(f"CODE{self.made + n}" for n in range(count))
                self.made += count
                shop.hear(AddCodes(codes=codes), "acme/keys")
            case "answer", int(which), str(how) if shop.open:
                self.answer(shop.open[which % len(shop.open)][1], how)

    def settle(self, order: str, item: str) -> None:
        """Staff check with the platform and settle what they see; a call in progress may still change it."""
        has_access = (order, item) in self.access
        for outcome in ("delivered", "not_revoked") if has_access else ("not_delivered", "revoked"):
            command = SettleDelivery.model_validate({"item": item, "outcome": outcome, "reason": "seen there"})
            if self.shop.offer(command, order) is None:
                self.settled.add((order, item))
                return

    def answer(self, operation: Operation, how: str) -> None:
        self.shop.answer(operation, self.outcome(operation, how), after=["time-out"] if how == "unresolved" else [])

    def outcome(self, operation: Operation, how: str) -> Outcome:
        match operation:
            case StoreCodes(codes=codes):
                self.free_codes += codes
                return StoreCodes.Done(len(codes))
            case TakeCode():
                return self.take_codes(operation)
            case ReturnCodes(order=order, item=item):
                self.free_codes += self.taken.pop((order, item), ())
                return ReturnCodes.Done()
            case SignDownload():
                return SignDownload.Done(LINK) if how == "done" else SignDownload.Failed("failed", "Fix it.")
            case GrantAccess() | RevokeAccess():
                return self.call_platform(operation, how)
            case _:
                raise AssertionError(operation)

    def call_platform(self, call: GrantAccess | RevokeAccess, how: str) -> Outcome:
        if how != "failed":  # a timeout hides that it was done
            change = self.access.add if isinstance(call, GrantAccess) else self.access.discard
            change((call.order, call.item))
        kind = type(call)
        return {
            "done": kind.Done(),
            "failed": kind.Failed("forbidden", "Fix it."),
            "unresolved": kind.Unresolved("time-out"),
        }[how]

    def configure(self, name: str, actions: tuple[Action, ...]) -> None:
        key, extra = f"acme/{name}", {"offer/gold": ConfigureOffer, "order/every": ConfigureExtras}.get(name)
        if extra:
            self.shop.hear(extra(name="Extra", actions=actions), key)
        elif actions:
            self.shop.hear(ConfigureProduct(action=actions[0], further=actions[1:]), key)

    def take_codes(self, take: TakeCode) -> Outcome:
        mine = self.taken.get((take.order, take.item))
        if mine is None:
            if len(self.free_codes) < take.quantity:
                return TakeCode.Failed(POOL_EMPTY, "Add codes.")
            mine = tuple(self.free_codes[: take.quantity])
            del self.free_codes[: take.quantity]
            self.taken[take.order, take.item] = mine
        return TakeCode.Done(mine)

    # What must always hold

    def rows(self, kind: type[T]) -> dict[str, T]:
        return {ref.key: state for ref, state in self.shop.rows.items() if ref.kind is kind}

    def published(self, kind: type[T]) -> Iterator[tuple[str, T]]:
        return ((key, event) for key, event in self.shop.all.entries if isinstance(event, kind))

    def check(self) -> None:
        self.stock_is_what_orders_hold()
        self.nothing_before_it_is_paid_and_nothing_twice()
        self.pools_know_who_waits()

    def stock_is_what_orders_hold(self) -> None:
        held: Counter[tuple[str, StockHold]] = Counter()
        for delivery in self.rows(Delivery).values():
            for item in delivery.items:
                key = delivery.row_key(item.sku)
                held[key, item.stock] += item.quantity
                assert not item.holds_stock or key in self.rows(Stock)
        for key, stock in self.rows(Stock).items():
            assert stock.reserved == held[key, StockHold.RESERVED]
            assert stock.on_hand + held[key, StockHold.TAKEN] + stock.written_off == stock.received

    def nothing_before_it_is_paid_and_nothing_twice(self) -> None:
        delivered = Counter((key, event.item) for key, event in self.published(ItemDelivered))
        revoked = Counter((key, event.item) for key, event in self.published(ItemRevoked))
        assert max(delivered.values(), default=0) <= 1
        unsettled = {place: times for place, times in revoked.items() if place not in self.settled}
        assert max(unsettled.values(), default=0) <= 1, "twice only where a call ended after staff had settled the item"
        assert {key for key, _ in delivered} <= self.paid
        released: Counter[tuple[str, str]] = Counter()
        for key, event in self.published(StockReleased):
            released.update({(key, sku): units for sku, units in event.skus.items()})
        for (key, sku), units in released.items():
            assert units <= sum(item.quantity for item in self.rows(Delivery)[key].items if item.sku == sku)

    def pools_know_who_waits(self) -> None:
        for pool in self.rows(CodePool).values():
            for order in pool.waiting:
                assert any(item.status is ItemStatus.WAITING_CODE for item in self.rows(Delivery)[order].items)

    def come_to_rest(self) -> None:
        while self.shop.open:
            self.answer(self.shop.open[0][1], "done")
        facts = self.shop.all.entries
        shown = [code for _, event in facts if isinstance(event, Parts) for code in codes_in(event)]
        assert len(shown) == len(set(shown)), "no code is delivered twice"
        for key, delivery in self.rows(Delivery).items():
            assert [*broken(delivery, at_rest=True)] == []
            progress = [event for about, event in self.shop.all.entries if about == key and isinstance(event, Progress)]
            assert not progress or progress[-1].under_way == 0, "the last fact says that nothing is in progress"
            for item in delivery.items:
                if item.status is ItemStatus.REVOKED:
                    self.outside_has_revoked(key, item)

    def outside_has_revoked(self, order: str, item: Item) -> None:
        assert (order, item.id) not in self.access or item.unrevoked, "staff know where access is left"
        seen = item.instructions is not None
        assert seen or (order, item.id) not in self.taken, "a code that the customer has not seen was returned"


def codes_in(event: Parts) -> tuple[str, ...]:
    given = event.instructions
    return given.codes or ((given.code,) if given.code else ()) if given else ()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(lines, min_size=len(ORDERS), max_size=len(ORDERS)),
    st.lists(steps, min_size=10, max_size=10),
    st.lists(steps, min_size=25, max_size=25),
)
def test_any_order_of_messages(
    orders: list[list[tuple[str, int]]], early: list[tuple[object, ...]], late: list[tuple[object, ...]]
) -> None:
    world = World()
    begun = [("place", order, ordered) for order, ordered in zip(ORDERS, orders, strict=True)]
    for step in (*begun, *early, ("pay", "o-1"), ("pay", "o-2"), *late):
        world.do(step)
        world.check()
    world.come_to_rest()
    world.check()
