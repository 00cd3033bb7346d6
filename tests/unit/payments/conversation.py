"""Talk to the payments core message by message, as the shell would, and keep what came of it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from services.payments.domain import payments
from services.payments.domain.ledger import PROVIDER_BALANCE, LedgerEntry
from services.payments.domain.operations import CancelCharge, ChargeCard, FindCharge, RefundCharge
from services.payments.domain.payment import Payment
from shared.contracts.checkout import OrderPaymentRequested
from shared.contracts.values import Card, OrderItem
from shared.core import Context, Event, Operation, Record, Refused, Timer

E = TypeVar("E")
START = datetime(2026, 1, 1, tzinfo=UTC)
VISA = Card(brand="visa", last4="4242", exp_month=12, exp_year=2030)


def item(id: str, purchased: int) -> OrderItem:
    return OrderItem(
        item=id,
        sku=f"sku-{id}",
        product=id,
        quantity=1,
        unit_price=purchased,
        line_total=purchased,
        purchased=purchased,
    )


def requested(attempt: int = 1, items: tuple[OrderItem, ...] | None = None, **more: Any) -> OrderPaymentRequested:
    items = items or (item("1", 3000), item("2", 2000))
    return OrderPaymentRequested(
        attempt=attempt,
        number="ORD-ABCDEFGHIJ",
        store="s-1",
        amount=sum(i.purchased for i in items),
        currency="USD",
        items=items,
        customer_email="ann@example.com",
        return_url="https://shop.example/orders/o-1",
        payment_method=f"pm_{attempt}",
        **more,
    )


class Conversation:
    """One order's payment. `hear` a message, then look at `events`, `operations`, `refused` of that turn."""

    def __init__(self, *messages: object) -> None:
        self.payment: Payment | None = None
        self.turns = 0
        self.events: list[Event] = []
        self.operations: list[Operation] = []
        self.records: list[Record] = []
        self.timers: list[Timer] = []
        self.refused: Refused | None = None
        self.told: list[Event] = []
        self.wanted: list[Operation] = []
        self.kept: list[Record] = []
        for message in messages:
            self.hear(message)

    def hear(self, message: object, operation: Operation | None = None) -> Conversation:
        self.turns += 1
        context = Context(
            START + timedelta(seconds=self.turns),
            "o-1",
            UUID(int=(1 << 90) + self.turns),
            actor="test",
            operation=operation,
        )
        answer = payments.decide(self.payment, message, context)
        if isinstance(answer, Refused):
            self.refused, self.events, self.operations, self.records = answer, [], [], []
            return self
        self.refused = None
        self.payment = answer.state
        self.events, self.operations = list(answer.events), list(answer.operations)
        self.records, self.timers = list(answer.records), list(answer.timers)
        self.told += self.events
        self.wanted += self.operations
        self.kept += self.records
        return self

    # What the provider answers to the latest operation of a kind

    def charge(self) -> ChargeCard:
        return self.latest(ChargeCard)

    def latest(self, kind: type[E]) -> E:
        return [operation for operation in self.wanted if isinstance(operation, kind)][-1]

    def paid(self, charge: ChargeCard | None = None) -> Conversation:
        charge = charge or self.charge()
        reference = f"pi_{charge.attempt}"
        return self.hear(ChargeCard.Done(reference, "succeeded", charge.amount, card=VISA), charge)

    def asked_for_3ds(self, charge: ChargeCard | None = None) -> Conversation:
        charge = charge or self.charge()
        url = f"https://bank.example/{charge.attempt}"
        return self.hear(ChargeCard.Done(f"pi_{charge.attempt}", "requires_action", url=url, card=VISA), charge)

    def declined(self) -> Conversation:
        return self.hear(
            ChargeCard.Failed("insufficient_funds", "Your card has insufficient funds.", card=VISA), self.charge()
        )

    def charge_unknown(self) -> Conversation:
        return self.hear(ChargeCard.Unresolved("no answer"), self.charge())

    def called_off(self, status: str = "cancelled") -> Conversation:
        cancel = self.latest(CancelCharge)
        amount = 5000 if status == "succeeded" else 0
        return self.hear(CancelCharge.Done(status, amount), cancel)  # type: ignore[arg-type]

    def refunded(self, refund: RefundCharge | None = None) -> Conversation:
        refund = refund or self.latest(RefundCharge)
        return self.hear(RefundCharge.Done(f"re_{refund.refund}"), refund)

    def refund_failed(self) -> Conversation:
        return self.hear(RefundCharge.Failed("charge_disputed", "Disputed."), self.latest(RefundCharge))

    def looked_up(self, outcome: FindCharge.Done) -> Conversation:
        return self.hear(outcome, self.latest(FindCharge))

    # What is known

    @property
    def state(self) -> Payment:
        assert self.payment is not None
        return self.payment

    def balance_by_reference(self) -> dict[str, int]:
        """Of the provider's account; what sums to zero is left out."""
        sums: dict[str, int] = defaultdict(int)
        for record in self.kept:
            if isinstance(record, LedgerEntry) and record.account == PROVIDER_BALANCE:
                sums[record.reference] += record.amount
        return {reference: amount for reference, amount in sums.items() if amount}

    def ledger(self) -> dict[str, int]:
        sums: dict[str, int] = defaultdict(int)
        for record in self.kept:
            if isinstance(record, LedgerEntry):
                sums[record.account] += record.amount
        return dict(sums)
