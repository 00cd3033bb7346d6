"""Whatever is said, in whatever order: units are conserved, nothing is given twice, nothing before it is paid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fulfillment.domain.deliveries import Progress
from services.fulfillment.domain.invariants import broken, unbalanced
from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    GrantAccess,
    PutBackCodes,
    RevokeAccess,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.domain.states import CodePool, Delivery, ItemStatus, Stock
from shared.contracts.fulfillment import (
    Action,
    AddCodes,
    CourseAccess,
    DeliveryCodesArrived,
    Download,
    ItemDelivered,
    ItemRevoked,
    RedemptionCode,
    RetryDelivery,
    SettleDelivery,
    Shipment,
    ShipOrder,
    StockReleased,
)
from shared.core import Attempt, Decision, Operation, Outcome
from tests.unit.fulfillment.bench import Bench, line

ACTIONS: dict[str, Action] = {
    "ebook": Download(file="book.pdf"),
    "key": RedemptionCode(pool="keys"),
    "course": CourseAccess(url="https://courses.example/access"),
    "poster": Shipment(),
}
SKUS = [*ACTIONS, "unconfigured"]
ORDERS = ["o-1", "o-2", "o-3"]
lines = st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 3)), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("place"), st.sampled_from(ORDERS), lines),
    st.tuples(st.sampled_from(["pay", "pay", "cancel", "expire", "wake", "arrive"]), st.sampled_from(ORDERS)),
    st.tuples(
        st.sampled_from(["refund", "ship", "retry"]), st.sampled_from(ORDERS), st.sets(st.integers(1, 4), max_size=2)
    ),
    st.tuples(st.just("found_out"), st.sampled_from(ORDERS), st.integers(1, 4)),
    st.tuples(st.just("configure"), st.sampled_from(SKUS), st.sampled_from(list(ACTIONS)), st.booleans()),
    st.tuples(st.just("receive"), st.sampled_from(SKUS), st.integers(1, 4)),
    st.tuples(st.just("codes"), st.integers(1, 4)),
    st.tuples(st.just("answer"), st.integers(0, 20), st.sampled_from(["done", "done", "failed", "unresolved"])),
    st.tuples(st.just("answer"), st.integers(0, 20), st.just("done")),
)


@dataclass
class World:
    """The core, and an outside that keeps its own books."""

    bench: Bench = field(default_factory=Bench)
    free_codes: list[str] = field(default_factory=list)
    taken: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    access: set[tuple[str, str]] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    settled: set[tuple[str, str]] = field(default_factory=set)
    made: int = 0

    def open_shop(self) -> None:
        for sku, action in ACTIONS.items():
            self.bench.product(sku, action, stock=5 if sku == "poster" else None)

    def do(self, step: tuple[object, ...]) -> None:
        match step:
            case "place", str(order), list(wanted):
                self.bench.place(*(line(str(n), sku, units) for n, (sku, units) in enumerate(wanted, 1)), key=order)
            case str(word), str(order):
                self.say(word, order)
            case str(word), str(order), set(items):
                self.say_of_items(word, order, tuple(map(str, items)))
            case "found_out", str(order), int(item):
                self.found_out(order, str(item))
            case "configure", str(sku), str(action), bool(tracked):
                self.bench.product(sku, ACTIONS[action], stock=0 if tracked else None)
            case "receive", str(sku), int(units):
                self.bench.product(sku, ACTIONS.get(sku, Shipment()), stock=units)
            case "codes", int(count):
                codes = tuple(f"CODE{self.made + n}" for n in range(count))
                self.made += count
                self.bench.say(AddCodes(codes=codes), "acme/keys")
            case "answer", int(which), str(how) if self.bench.open:
                _, operation = self.bench.open[which % len(self.bench.open)]
                self.settle(operation, how)

    def say(self, word: str, order: str) -> None:
        match word:
            case "pay":
                self.bench.pay(order)
                self.paid.add(order)
            case "cancel":
                self.bench.cancel(order)
            case "expire":
                self.bench.expire(order)
            case "wake" if (order, "LookForCodes") in self.bench.timers:
                self.bench.say(self.bench.timers.pop((order, "LookForCodes")), order)
            case "arrive":
                self.bench.say(DeliveryCodesArrived(pool="keys"), order)

    def say_of_items(self, word: str, order: str, items: tuple[str, ...]) -> None:
        match word:
            case "refund":
                self.bench.refund(*items, key=order)
            case "ship":
                self.bench.say(ShipOrder(carrier="DHL", tracking="T", items=items), order)
            case "retry":
                self.bench.say(RetryDelivery(items=items), order)

    def found_out(self, order: str, item: str) -> None:
        """Staff look at the platform and say what they see; what is under way may still change it."""
        has_access = (order, item) in self.access
        for outcome in ("delivered", "not_revoked") if has_access else ("not_delivered", "revoked"):
            said = SettleDelivery.model_validate({"item": item, "outcome": outcome, "reason": "seen there"})
            if isinstance(self.bench.say(said, order), Decision):
                self.settled.add((order, item))
                return

    def settle(self, operation: Operation, how: str) -> None:
        tries = (Attempt(at=self.bench.clock, error="time-out"),) if how == "unresolved" else ()
        self.bench.answer(operation, self.outcome(operation, how), *tries)

    def outcome(self, operation: Operation, how: str) -> Outcome:
        match operation:
            case StoreCodes(codes=codes):
                self.free_codes += codes
                return StoreCodes.Done(len(codes))
            case TakeCode():
                return self.take_codes(operation)
            case PutBackCodes(order=order, item=item):
                self.free_codes += self.taken.pop((order, item), ())
                return PutBackCodes.Done()
            case SignDownload():
                failed = SignDownload.Failed("failed", "fix it")
                return SignDownload.Done("https://shop.example/d") if how == "done" else failed
            case GrantAccess(order=order, item=item):
                if how != "failed":  # a time-out hides that it was done
                    self.access.add((order, item))
                return {
                    "done": GrantAccess.Done(),
                    "failed": GrantAccess.Failed("forbidden", "fix it"),
                    "unresolved": GrantAccess.Unresolved("time-out"),
                }[how]
            case RevokeAccess(order=order, item=item):
                if how != "failed":
                    self.access.discard((order, item))
                return {
                    "done": RevokeAccess.Done(),
                    "failed": RevokeAccess.Failed("forbidden", "fix it"),
                    "unresolved": RevokeAccess.Unresolved("time-out"),
                }[how]
            case _:
                raise AssertionError(operation)

    def take_codes(self, wanted: TakeCode) -> Outcome:
        mine = self.taken.get((wanted.order, wanted.item))
        if mine is None:
            if len(self.free_codes) < wanted.quantity:
                return TakeCode.Failed(POOL_EMPTY, "add codes")
            mine = tuple(self.free_codes[: wanted.quantity])
            del self.free_codes[: wanted.quantity]
            self.taken[wanted.order, wanted.item] = mine
        return TakeCode.Done(mine)

    # What must always hold

    def deliveries(self) -> dict[str, Delivery]:
        return {ref.key: state for ref, state in self.bench.rows.items() if isinstance(state, Delivery)}

    def check(self) -> None:
        self.no_invariant_is_broken()
        self.nothing_before_it_is_paid_and_nothing_twice()
        self.pools_know_who_waits()

    def no_invariant_is_broken(self, *, at_rest: bool = False) -> None:
        deliveries = self.deliveries().values()
        assert unbalanced(self.stocks(), deliveries) == []
        assert [rule for delivery in deliveries for rule in broken(delivery, at_rest=at_rest)] == []

    def stocks(self) -> dict[str, Stock]:
        return {ref.key: state for ref, state in self.bench.rows.items() if isinstance(state, Stock)}

    def nothing_before_it_is_paid_and_nothing_twice(self) -> None:
        delivered = Counter((key, e.item) for key, e in self.bench.events if isinstance(e, ItemDelivered))
        revoked = Counter((key, e.item) for key, e in self.bench.events if isinstance(e, ItemRevoked))
        assert max(delivered.values(), default=0) <= 1
        told_once = {place: times for place, times in revoked.items() if place not in self.settled}
        assert max(told_once.values(), default=0) <= 1, "twice only where a call went on after staff had looked"
        assert {key for key, _ in delivered} <= self.paid
        back: Counter[tuple[str, str]] = Counter()
        for key, event in self.bench.events:
            if isinstance(event, StockReleased):
                back.update({(key, sku): units for sku, units in event.skus.items()})
        for (key, sku), units in back.items():
            assert units <= sum(item.quantity for item in self.deliveries()[key].items if item.sku == sku)

    def pools_know_who_waits(self) -> None:
        for state in self.bench.rows.values():
            for order in state.waiting if isinstance(state, CodePool) else ():
                assert any(item.status is ItemStatus.WAITING_CODE for item in self.deliveries()[order].items)

    def come_to_rest(self) -> None:
        while self.bench.open:
            self.settle(self.bench.open[0][1], "done")
        self.no_invariant_is_broken(at_rest=True)
        for key, delivery in self.deliveries().items():
            told = [event for about, event in self.bench.events if about == key and isinstance(event, Progress)]
            assert not told or told[-1].under_way == 0, "the last fact says that nothing is under way"
            for item in delivery.items:
                self.outside_agrees(key, item.id, item.status)

    def outside_agrees(self, order: str, item: str, status: ItemStatus) -> None:
        if status is ItemStatus.REVOKED:
            assert (order, item) not in self.access
            seen = any(
                key == order and isinstance(event, ItemDelivered) and event.item == item
                for key, event in self.bench.events
            )
            assert seen or (order, item) not in self.taken, "a code that nobody saw went back"
        told = [
            code
            for _, event in self.bench.events
            if isinstance(event, ItemDelivered) and event.instructions.code
            for code in event.instructions.codes or (event.instructions.code,)
        ]
        assert len(told) == len(set(told)), "no code is told twice"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(lines, min_size=3, max_size=3),
    st.lists(steps, min_size=10, max_size=10),
    st.lists(steps, min_size=25, max_size=25),
)
def test_any_order_of_messages(
    orders: list[list[tuple[str, int]]], early: list[tuple[object, ...]], late: list[tuple[object, ...]]
) -> None:
    world = World()
    world.open_shop()
    begun = [("place", order, wanted) for order, wanted in zip(ORDERS, orders, strict=True)]
    paid = [("pay", "o-1"), ("pay", "o-2")]
    for step in (*begun, *early, *paid, *late):
        world.do(step)
        world.check()
    world.come_to_rest()
    world.check()
