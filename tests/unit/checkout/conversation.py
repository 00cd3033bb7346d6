"""An order's conversation with checkout, without any shell: messages go in, events and timeline entries come out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from services.checkout.domain.cores import CORES
from services.checkout.domain.decisions import orders
from services.checkout.domain.invariants import broken
from services.checkout.domain.order import TRANSITIONS, Order
from services.checkout.domain.sku import Sku
from services.checkout.domain.store import Store
from services.checkout.domain.timeline import TimelineEntry
from shared.contracts.checkout import ConfigureStore, DefineSku, OrderStatusRecord
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import ItemDelivered, StockReserved
from shared.contracts.payments import PaymentCaptured, PaymentRefunded
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted, PaymentChoice, SubmittedItem
from shared.contracts.values import Address, Card, Customer, Instructions, OrderStatus, TaxLine
from shared.core import Context, Decision, Event, Ref, Refused, Timer, TimerMessage, codec

START = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
KEY = "o-1"
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
E = TypeVar("E", bound=Event)


def configured(**changes: Any) -> Store:
    answer = CORES[0].decide(None, ConfigureStore(**(SETTINGS | changes)), Context(START, "northwind", UUID(int=1)))
    assert isinstance(answer, Decision)
    assert isinstance(answer.state, Store)
    return answer.state


def sku(name: str, **changes: Any) -> tuple[Ref[Sku], object]:
    command = DefineSku(**({"product": name.title(), "prices": {"USD": 1000, "JPY": 1500}} | changes))
    answer = CORES[1].decide(None, command, Context(START, f"northwind/{name}", UUID(int=1)))
    assert isinstance(answer, Decision)
    return Ref(Sku, f"northwind/{name}"), answer.state


CATALOGUE: dict[Ref[Any], object] = dict(
    [
        sku("course"),
        sku("game", prices={"USD": 2500}),
        sku("atlas", shippable=True, prices={"USD": 3000}),
        sku("old", active=False),
        sku("gift", prices={"USD": 0}),
        sku("gold", prices={"USD": 2**62}),
    ]
)
PRICES = {"course": 1000, "game": 2500, "atlas": 3000, "old": 1000, "gift": 0, "gold": 2**62}


def submission(*skus: str, tax: int = 0, discount: int = 0, **changes: Any) -> CheckoutSubmitted:
    """A right checkout of one unit each; `changes` make it wrong."""
    names = skus or ("course", "game")
    subtotal = sum(PRICES.get(name, 0) for name in names)
    fields: dict[str, Any] = {
        "store": "northwind",
        "customer": ADA,
        "items": tuple(SubmittedItem(sku=name, quantity=1, unit_price=PRICES.get(name, 0)) for name in names),
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


OPENED = CheckoutOpened(store="northwind", currency="USD", country="DE")


class Conversation:
    """One order. Checks with every answer what must hold for each of them."""

    def __init__(self, store: Store | None = None) -> None:
        self.at = START
        self.rows: dict[Ref[Any], object] = {**CATALOGUE, Ref(Store, "northwind"): store or configured()}
        self.state: Order | None = None
        self.events: list[Event] = []
        self.timeline: list[TimelineEntry] = []
        self.timers: dict[str, Timer] = {}
        self.revision = 0
        self._messages = 0

    @property
    def order(self) -> Order:
        assert self.state is not None
        return self.state

    def answer(self, message: object, *, actor: str = "customer", key: str = KEY) -> Decision[Order] | Refused:
        """Give a message to the core, as the shell would, and keep what it brings."""
        self._messages += 1
        self.at += timedelta(seconds=1)
        handling = orders.handlers[type(message)]
        rows = {ref: self.rows.get(ref) for ref in (handling.reads(message, key, self.state) if handling.reads else ())}
        context = Context(self.at, key, UUID(int=(0x0190 << 112) + self._messages), actor=actor, rows=rows)
        answer = orders.decide(self.state, message, context)
        if isinstance(answer, Decision):
            self._keep(answer)
        return answer

    def tell(self, message: object, *, actor: str = "customer") -> list[Event]:
        """A message that is not refused; the events it brings, without the status record."""
        answer = self.answer(message, actor=actor)
        assert isinstance(answer, Decision), answer
        return [event for event in answer.events if not isinstance(event, OrderStatusRecord)]

    def refused(self, message: object) -> Refused:
        before = self.state
        answer = self.answer(message)
        assert isinstance(answer, Refused), answer
        assert self.state is before
        return answer

    def due(self, name: type[TimerMessage]) -> list[Event]:
        """Let a timer's time come."""
        timer = self.timers.pop(name.__name__)
        self.at = max(self.at, timer.due)
        return self.tell(timer.message, actor="system")

    def record(self) -> OrderStatusRecord:
        """The order as any staff tool sees it."""
        return next(event for event in reversed(self.events) if isinstance(event, OrderStatusRecord))

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def said(self) -> list[str]:
        return [entry.what for entry in self.timeline]

    def _keep(self, decision: Decision[Order]) -> None:
        before, after = self.state, decision.state
        check_step(before, decision)
        if after is not None:
            assert codec.load(Order, codec.dump(after)) == after
        self.state = after
        self.events += decision.events
        self.timeline += [record for record in decision.records if isinstance(record, TimelineEntry)]
        for name in decision.cancel:
            self.timers.pop(name if isinstance(name, str) else name.__name__, None)
        self.timers |= {timer.named(): timer for timer in decision.timers}


ASKS_THE_CUSTOMER = {"order.payment_requested", "order.payment_declined", "order.payment_action_required"}


def check_step(before: Order | None, decision: Decision[Order]) -> None:
    """What holds for every decision about an order."""
    after = decision.state
    statuses = [event for event in decision.events if isinstance(event, OrderStatusRecord)]
    if after is before or after is None:
        assert after is before
        assert not decision.events
        return
    assert [*decision.events][-1:] == statuses, "one status record, the last event"
    assert statuses[0].revision == after.revision == (before.revision if before else 0) + 1
    assert (statuses[0].status, statuses[0].number) == (after.status, after.number)
    assert decision.records, "every change is in the timeline"
    if before and before.status is not after.status:
        assert after.status in TRANSITIONS[before.status]
    asks = {event.type for event in decision.events} & ASKS_THE_CUSTOMER
    assert not asks or after.status is OrderStatus.PENDING_PAYMENT, f"{asks} of an order that is {after.status}"
    assert broken(after) == []
    for event in decision.events:
        assert encode(event)


# What the other services say


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
    return ItemDelivered(
        item=item, instructions=Instructions(kind="download", link=f"https://get.example/{item}"), under_way=under_way
    )


def placed_order(*skus: str, **changes: Any) -> Conversation:
    conversation = Conversation()
    conversation.tell(OPENED)
    conversation.tell(submission(*skus, **changes))
    return conversation


def paid_order(*skus: str, **changes: Any) -> Conversation:
    conversation = placed_order(*skus, **changes)
    conversation.tell(StockReserved(), actor="system")
    conversation.tell(captured(conversation.order.purchased), actor="provider:stripe")
    return conversation
