"""Checkout and fulfillment in one conversation: whatever happens to executions, the order says what is delivered, and
the customer gets all of it, once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.keys import EVERY_ORDER, offer_name, row_key
from services.fulfillment.domain.operations import RevokeAccess, SignDownload, TakeCode
from shared.contracts.checkout import OrderCompleted, OrderItemsDelivered, OrderPaid, OrderPlaced, OrderRefunded
from shared.contracts.delivery_work import DeliveryResent, GrantAgainDelivery, MarkDeliveredDelivery, RevokeDelivery
from shared.contracts.fulfillment import (
    Action,
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    CourseAccess,
    Download,
    ItemDelivered,
    ItemProgressed,
    ItemSettled,
    RedemptionCode,
    RetryDelivery,
    SettleDelivery,
    SettledOutcome,
    Shipment,
    ShipOrder,
)
from shared.contracts.payments import RefundedLine
from shared.contracts.values import DeliveryStatus, Instructions, OrderStatus
from shared.core import Operation, Outcome
from tests.unit.checkout.examples import paid_order, refunded
from tests.unit.fulfillment.examples import EMPTY, Shop

STORE, SKUS, OFFER = "northwind", ("course", "game"), "gold"
ACTIONS: tuple[Action, ...] = (
    Download(file="book.pdf"),
    RedemptionCode(pool="keys"),
    CourseAccess(url="https://courses.example/access", enter="https://courses.example/enter"),
    CourseAccess(url="https://courses.example/other"),
    Shipment(),
)
actions = st.lists(st.sampled_from(ACTIONS), max_size=3).map(tuple)
some = st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3).map(tuple)
steps = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 9), st.sampled_from(["done", "done", "failed", "unresolved"])),
    st.tuples(st.just("retry"), st.booleans()),
    st.tuples(st.just("ship")),
    st.tuples(st.just("configure"), st.sampled_from(SKUS), some),
    st.tuples(st.just("refund"), st.sampled_from(["1", "2"]), st.booleans()),
    st.tuples(st.just("revoke"), st.integers(0, 9)),
    st.tuples(st.just("grant again")),
    st.tuples(st.just("deliver by hand"), st.integers(0, 9)),
    st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from(get_args(SettledOutcome))),
)
WHY = "as the customer asked"


@dataclass
class Conversation:
    shop: Shop = field(default_factory=Shop)
    given: Counter[Instructions] = field(default_factory=Counter)
    handed: Counter[Instructions] = field(default_factory=Counter)
    refunds: set[str] = field(default_factory=set)
    made: int = 0

    def begin(self, products: tuple[Any, Any], offered: tuple[Action, ...], always: tuple[Action, ...]) -> None:
        for sku, chosen in zip(SKUS, products, strict=True):
            self.configure(sku, chosen)
        self.shop.hear(ConfigureOffer(name="Gold", actions=offered), row_key(STORE, offer_name(OFFER)))
        self.shop.hear(ConfigureExtras(name="Guide", actions=always), row_key(STORE, EVERY_ORDER))
        self.order = paid_order(*SKUS, offer=OFFER)
        self.shop.hear(self.order.all.of(OrderPlaced)[0])
        self.hear(self.order.all.of(OrderPaid)[0])

    def configure(self, sku: str, chosen: tuple[Action, ...]) -> None:
        self.shop.hear(ConfigureProduct(action=chosen[0], further=chosen[1:]), row_key(STORE, sku))

    def do(self, step: tuple[Any, ...]) -> None:
        match step:
            case "answer", which, how if self.shop.open:
                self.answer(self.shop.open[which % len(self.shop.open)][1], how)
            case "retry", latest:
                self.hear(RetryDelivery(latest=latest), refusable=True)
            case ("ship",):
                self.made += 1
                self.hear(ShipOrder(carrier="DHL", tracking=f"T-{self.made}"), refusable=True)
            case "configure", sku, chosen:
                self.configure(sku, chosen)
            case "refund", item, keep if not self.refunds:
                self.refund(item, keep=keep)
            case "revoke", which:
                self.hear(RevokeDelivery(executions=(self.execution(which).id,), reason=WHY), refusable=True)
            case ("grant again",):
                self.hear(GrantAgainDelivery(reason=WHY), refusable=True)
            case "deliver by hand", which:
                self.hear(MarkDeliveredDelivery(executions=(self.execution(which).id,), reason=WHY), refusable=True)
            case "settle", which, outcome:
                self.settle(self.execution(which), outcome)

    def execution(self, which: int) -> Item:
        items = self.shop.state.items
        return items[which % len(items)]

    def settle(self, item: Item, outcome: SettledOutcome) -> None:
        said = SettleDelivery(item=item.about, execution=item.id, outcome=outcome, reason=WHY)
        self.hear(said, refusable=True)

    def refund(self, item: str, *, keep: bool) -> None:
        self.refunds.add(item)
        line = self.order.state.line(item)
        assert line is not None
        amount = line.item.purchased
        part = RefundedLine(item=item, amount=amount, whole=True)
        removed = () if keep else (item,)
        self.order.hear(refunded(amount, self.order.state.paid, items=(part,), remove_access=removed, restock=(item,)))
        self.note()
        self.hear(self.order.last.of(OrderRefunded)[0])

    def answer(self, call: Operation, how: str) -> None:
        self.shop.answer(call, self.outcome(call, how))
        self.pass_on()

    def outcome(self, call: Any, how: str) -> Outcome:
        self.made += 1
        if isinstance(call, SignDownload) and how == "done":
            return SignDownload.Done(f"https://shop.example/downloads/{self.made}")
        if isinstance(call, TakeCode):
            return TakeCode.Done((f"CODE-{self.made}",)) if how == "done" else EMPTY
        kind: Any = type(call)
        outcomes: dict[str, Outcome] = {
            "failed": kind.Failed("rejected", "No."),
            "unresolved": kind.Unresolved("time-out"),
        }
        return outcomes[how] if how in outcomes else kind.Done()

    def hear(self, message: Any, *, refusable: bool = False) -> None:
        if refusable and self.shop.offer(message) is not None:
            return
        if not refusable:
            self.shop.hear(message)
        self.pass_on()

    def pass_on(self) -> None:
        for event in self.shop.published:
            if isinstance(event, ItemDelivered | ItemProgressed) and event.instructions:
                self.given[event.instructions] += 1
            if isinstance(event, DeliveryResent):
                self.given.update(item.instructions for item in event.items)
            if event.type.startswith(("item.", "delivery.")) and not isinstance(event, ItemSettled):
                self.order.hear(event)
                self.note()

    def note(self) -> None:
        for event in self.order.last.of(OrderItemsDelivered):
            self.handed.update(item.instructions for item in event.items)
        if OrderCompleted() in self.order.facts:
            kept = [item for item in self.shop.state.items if item.about not in self.refunds]
            assert not any(item.status is ItemStatus.IN_PROGRESS for item in kept), "completed too early"

    def nothing_is_forgotten(self, *, revocable: bool) -> None:
        """Once all calls are answered, what is not delivered is said to have failed, or to wait for someone."""
        while self.shop.open:
            call = self.shop.open[0][1]
            self.answer(call, "done" if revocable or not isinstance(call, RevokeAccess) else "failed")
        assert self.order.state.status is not OrderStatus.PROCESSING or not any(
            line.delivery is DeliveryStatus.PENDING and not line.refunded_whole for line in self.order.state.lines
        )

    def come_to_rest(self) -> None:
        for _ in range(10):
            while self.shop.open:
                self.answer(self.shop.open[0][1], "done")
            self.do(("ship",))
            for item in self.shop.state.items:
                if item.status is ItemStatus.REVOCATION_FAILED:
                    self.settle(item, "revoked")
            self.do(("grant again",))
            self.hear(RetryDelivery(), refusable=True)
            self.shop.let_time_pass(timedelta(minutes=5))
            self.pass_on()

    def check(self) -> None:
        items = self.shop.state.items
        assert {item.status for item in items} <= {ItemStatus.DELIVERED, ItemStatus.REVOKED}
        assert self.order.state.status is OrderStatus.COMPLETED
        assert all(times <= self.given[one] for one, times in self.handed.items()), "nothing is handed over twice"
        kept = [item.instructions for item in items if item.status is ItemStatus.DELIVERED and item.instructions]
        assert all(self.handed[one] for one in kept), "what the customer has was handed over"


@settings(max_examples=200, deadline=None)
@given(st.tuples(some, some), actions, actions, st.lists(steps, max_size=25), st.booleans())
def test_the_order_says_what_is_delivered_and_the_customer_gets_it_once(
    products: tuple[Any, Any],
    offered: tuple[Action, ...],
    always: tuple[Action, ...],
    late: list[tuple[Any, ...]],
    revocable: bool,
) -> None:
    conversation = Conversation()
    conversation.begin(products, offered, always)
    for step in late:
        conversation.do(step)
    conversation.nothing_is_forgotten(revocable=revocable)
    conversation.come_to_rest()
    conversation.check()
