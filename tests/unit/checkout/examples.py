"""Example messages of an order's life, and the order itself in a scenario."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.checkout.domain.invariants import broken, is_silent
from services.checkout.domain.order import Order, orders
from services.checkout.domain.sku import skus
from services.checkout.domain.status import TRANSITIONS
from services.checkout.domain.store import stores
from services.staff.domain.archive import EventRow
from services.staff.domain.timeline import OrderWords, TimelineEntry, entry_of
from shared.contracts.checkout import OrderStatusRecord, OrderStrayCharge
from shared.contracts.delivery_work import OrderWaitsForStaff
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import ItemDelivered, StockReserved
from shared.contracts.order_work import OrderNoted
from shared.contracts.payments import PaymentCaptured, PaymentRefunded
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted, DeliveryCharge, PaymentChoice, SubmittedItem
from shared.contracts.stores import ConfigureStore, DefineSku
from shared.contracts.values import Address, Card, Customer, Instructions, OrderStatus, TaxLine
from shared.core import Event, Refused, Scenario, Step

START = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
VISA = Card(brand="visa", last4="4242", exp_month=12, exp_year=2030)
ADA = Customer(name="Ada Lovelace", email="Ada@Example.com")
HOME = Address(name="Ada Lovelace", line1="12 St James's Square", city="London", country="GB")
SETTINGS: dict[str, Any] = {
    "name": "Northwind",
    "sender": "orders@northwind.example",
    "staff_email": "staff@northwind.example",
    "support_email": "help@northwind.example",
    "order_url": "https://northwind.example/orders/{order}",
    "currencies": ("USD", "JPY"),
}
PRICES = {"course": 1000, "game": 2500, "atlas": 3000, "old": 1000, "gift": 0, "gold": 2**62}


def store(**changes: Any) -> ConfigureStore:
    return ConfigureStore(**(SETTINGS | changes))


def sku(name: str, **changes: Any) -> DefineSku:
    return DefineSku(**({"product": name.title(), "prices": {"USD": PRICES[name]}} | changes))


SHOP = (
    Scenario(stores, skus)
    .hear(store(), "northwind")
    .hear(sku("course", prices={"USD": 1000, "JPY": 1500}), "northwind/course")
    .hear(sku("game"), "northwind/game")
    .hear(sku("atlas", shippable=True), "northwind/atlas")
    .hear(sku("old", active=False), "northwind/old")
    .hear(sku("gift"), "northwind/gift")
    .hear(sku("gold"), "northwind/gold")
)


class OrderScenario(Scenario[Order]):
    """One order in the shop."""

    def __init__(self, *messages: object) -> None:
        super().__init__(orders, stores, skus, at=START, rows=SHOP.rows, check=self._seen)
        self._told: list[EventRow] = []
        self._by = self.actor
        self.given(*messages)

    def offer(
        self, message: object, key: str | None = None, *, actor: str | None = None, **more: Any
    ) -> Refused | None:
        self._by = actor or self.actor
        return super().offer(message, key, actor=actor, **more)

    def _seen(self, step: Step) -> None:
        check_step(step)
        if isinstance(step.message, Event):
            self._tell(step, step.message)
        for event in step.decision.events:
            if not isinstance(event, OrderStatusRecord):
                self._tell(step, event)

    def _tell(self, step: Step, event: Event) -> None:
        number = len(self._told)
        about = (step.ref.key, step.at, UUID(int=number), event.topic.name, event.topic.owner, event.type)
        self._told.append(EventRow(*about, event.version, "northwind", number, self._by, "", "", encode(event)))

    @property
    def facts(self) -> list[Event]:
        """What the last call published, without the status record and what is said for the timeline only."""
        return [event for event in self.published if not isinstance(event, OrderStatusRecord | OrderNoted)]

    def record(self) -> OrderStatusRecord:
        """The latest status record."""
        return self.all.of(OrderStatusRecord)[-1]

    @property
    def timeline(self) -> list[TimelineEntry]:
        """As staff render it, of the facts that came and of what was published."""
        words = OrderWords.of(self.record())
        return [entry_of(row, words) for row in self._told]

    def entry(self, what: str) -> TimelineEntry:
        """The latest of the timeline about this."""
        return [entry for entry in self.timeline if entry.what == what][-1]


ASKS_THE_CUSTOMER = {"order.payment_requested", "order.payment_declined", "order.payment_action_required"}


FOR_STAFF = (OrderWaitsForStaff, OrderStrayCharge, OrderNoted)
"""What is told of an order without a change of it."""


def check_step(step: Step) -> None:
    """What holds for every decision about an order."""
    if step.ref.kind is not Order:
        return
    before, decision, after = step.before, step.decision, step.decision.state
    assert before is None or not is_silent(step.message, decision), "it cannot be told that the message came"
    statuses = [event for event in decision.events if isinstance(event, OrderStatusRecord)]
    if after is before or after is None:
        assert all(isinstance(event, FOR_STAFF) for event in decision.events), "it says nothing new of it"
        return
    assert [*decision.events][-1:] == statuses, "one status record, the last event"
    assert statuses[0].revision == after.revision == (before.revision if before else 0) + 1
    assert (statuses[0].status, statuses[0].number) == (after.status, after.number)
    if before and before.status is not after.status:
        through = TRANSITIONS[OrderStatus.ACCEPTED] if before.status is OrderStatus.RECEIVED else frozenset()
        if before.status is OrderStatus.ACCEPTED:
            through = frozenset({OrderStatus.FAILED})
        by_hand = {OrderStatus.COMPLETED} if before.is_unpaid else frozenset()
        assert after.status in TRANSITIONS[before.status] | through | by_hand, (
            "two steps at once: free, by hand, or the only try"
        )
    asks = {event.type for event in decision.events} & ASKS_THE_CUSTOMER
    charged = asks == {"order.payment_requested"} and after.status is OrderStatus.ACCEPTED
    last = asks == {"order.payment_declined"} and after.payment_failed
    waits = after.status is OrderStatus.PENDING_PAYMENT
    assert not asks or charged or last or waits, f"{asks} of an order: {after.status}"
    assert broken(after) == []
    for event in decision.events:
        assert encode(event)


# Messages

OPENED = CheckoutOpened(store="northwind", currency="USD", country="DE")


def submission(*skus: str, tax: int = 0, discount: int = 0, delivery: int = 0, **changes: Any) -> CheckoutSubmitted:
    """A valid checkout of one unit each; `changes` make it invalid."""
    names = skus or ("course", "game")
    subtotal = sum(PRICES.get(name, 0) for name in names) + delivery
    fields: dict[str, Any] = {
        "store": "northwind",
        "customer": ADA,
        "items": tuple(SubmittedItem(sku=name, quantity=1, unit_price=PRICES.get(name, 0)) for name in names),
        "deliveries": (DeliveryCharge(name="Express delivery", amount=delivery),) if delivery else (),
        "currency": "USD",
        "subtotal": subtotal,
        "tax": tax,
        "total": subtotal + tax,
        "purchased": subtotal + tax - discount,
        "payment": PaymentChoice(payment_method="pm_card_visa"),
        "discounts": ({"code": "SPRING", "amount": discount},) if discount else (),
        "taxes": (TaxLine(rate="19", country="DE", amount=tax),) if tax else (),
        "shipping": HOME if "atlas" in names else None,
    }
    return CheckoutSubmitted(**(fields | changes))


def captured(amount: int, attempt: int = 1, currency: str = "USD") -> PaymentCaptured:
    return PaymentCaptured(
        attempt=attempt,
        amount=amount,
        currency=currency,
        provider="stripe",
        transaction=f"pi_{attempt}",
        card=VISA,
        captured_at=START,
    )


def refunded(amount: int, of: int, so_far: int = 0, **changes: Any) -> PaymentRefunded:
    return PaymentRefunded(
        refund=f"r-{so_far + amount}", amount=amount, currency="USD", captured=of, refunded=so_far + amount, **changes
    )


def delivered(item: str, under_way: int = 0) -> ItemDelivered:
    link = Instructions(kind="download", link=f"https://get.example/{item}")
    return ItemDelivered(item=item, instructions=link, under_way=under_way)


# Orders


def placed_order(*skus: str, **changes: Any) -> OrderScenario:
    return OrderScenario(OPENED, submission(*skus, **changes))


def reserved_order(*skus: str, **changes: Any) -> OrderScenario:
    return placed_order(*skus, **changes).hear(StockReserved(), actor="system")


def paid_order(*skus: str, **changes: Any) -> OrderScenario:
    order = reserved_order(*skus, **changes)
    return order.hear(captured(order.state.purchased), actor="provider:stripe")
