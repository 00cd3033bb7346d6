"""Example messages about one order's payment, and the provider's usual answers."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from services.payments import storage
from services.payments.domain import CORES
from services.payments.domain.invariants import broken
from services.payments.domain.ledger import PROVIDER_BALANCE, SALES, AttemptRecord, LedgerEntry, RefundRecord
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeReported,
    ChargeResult,
    ChargeStatus,
    FindCharge,
    RefundCharge,
    RefundProgress,
    RefundReported,
    RefundResult,
)
from services.payments.domain.owed import obligations
from services.payments.domain.payment import Payment
from shared.contracts.checkout import OrderPaymentRequested
from shared.contracts.payments import PaymentStatusRecord
from shared.contracts.values import Card, OrderItem
from shared.core import Event, Scenario
from shared.core.checks import Step

README = Path(storage.__file__).with_name("README.md").read_text(encoding="utf-8")
ATTEMPTS, REFUNDS, OBLIGATIONS = (
    set(re.findall(r"^    (\w+) --> (\w+)", diagram, re.MULTILINE)) for diagram in README.split("```mermaid")[1:]
)
VISA = Card(brand="visa", last4="4242", exp_month=12, exp_year=2030)


def item(id: str, price: int) -> OrderItem:
    return OrderItem(
        item=id, sku=f"sku-{id}", product=id, quantity=1, unit_price=price, line_total=price, purchased=price
    )


def requested(attempt: int = 1, items: tuple[OrderItem, ...] | None = None, **more: Any) -> OrderPaymentRequested:
    items = items or (item("1", 3000), item("2", 2000))
    fields: dict[str, Any] = {
        "attempt": attempt,
        "number": "ORD-ABCDEFGHIJ",
        "store": "s-1",
        "amount": sum(i.purchased for i in items),
        "currency": "USD",
        "items": items,
        "customer_email": "ann@example.com",
        "return_url": "https://shop.example/orders/o-1",
        "payment_method": f"pm_{attempt}",
    }
    return OrderPaymentRequested(**(fields | more))


def reported(status: ChargeStatus, reference: str = "pi_1", amount: int = 0, **more: Any) -> ChargeReported:
    """The provider's callback about the first attempt."""
    captured = amount or (5000 if status == "succeeded" else 0)
    code, text = ("card_declined", "No.") if status == "failed" else ("", "")
    named: dict[str, Any] = {"requested": 5000, "currency": "USD", "store": "s-1", "key": "o-1.attempt.1"} | more
    return ChargeReported(1, ChargeResult(reference, status, captured, code=code, text=text, **named))


def refund_reported(refund: str, status: RefundProgress, reference: str = "re_1", code: str = "") -> RefundReported:
    return RefundReported(refund, RefundResult(reference, status, code))


class PaymentScenario(Scenario[Payment]):
    """One order's payment. Each answer is to the only open operation of its kind."""

    def __init__(self, *past: object) -> None:
        super().__init__(*CORES, actor="staff:anna", check=_check)
        self.given(*past)

    def charge(self) -> ChargeCard:
        return self.operation(ChargeCard)

    def refund(self) -> RefundCharge:
        return self.operation(RefundCharge)

    def refunds_open(self) -> list[RefundCharge]:
        """In the order of their requests."""
        return [operation for _, operation in self.open if isinstance(operation, RefundCharge)]

    def pay(self) -> Self:
        charge = self.charge()
        return self.answer_charge("succeeded", charge.amount)

    def ask_for_3ds(self) -> Self:
        return self.answer_charge("requires_action", url=f"https://bank.example/{self.charge().attempt}")

    def answer_charge(self, status: ChargeStatus, amount: int = 0, url: str = "") -> Self:
        charge = self.charge()
        result = ChargeResult(f"pi_{charge.attempt}", status, amount, url, VISA)
        return self.answer(charge, ChargeCard.Done(result))

    def decline(self) -> Self:
        text = "Your card has insufficient funds."
        return self.answer(ChargeCard, ChargeCard.Failed("insufficient_funds", text, card=VISA))

    def lose_charge(self) -> Self:
        """The outcome of the charge stays unknown."""
        return self.answer(ChargeCard, ChargeCard.Unresolved("no answer"))

    def cancel_charge(self, status: ChargeStatus = "cancelled") -> Self:
        cancel, amount = self.operation(CancelCharge), 5000 if status == "succeeded" else 0
        return self.answer(cancel, CancelCharge.Done(ChargeResult(cancel.reference, status, amount)))

    def make_refund(self, refund: RefundCharge | None = None) -> Self:
        refund = refund or self.refund()
        return self.answer(refund, refund.Done(RefundResult(f"re_{refund.refund}")))

    def fail_refund(self) -> Self:
        return self.answer(RefundCharge, self.refund().Failed("charge_disputed", "Disputed."))

    def lose_refund(self) -> Self:
        """The outcome of the refund stays unknown."""
        return self.answer(RefundCharge, self.refund().Unresolved("no answer"))

    def find_charge(self, status: ChargeStatus, reference: str = "pi_1", **more: Any) -> Self:
        return self.answer(FindCharge, FindCharge.Done(ChargeResult(reference, status, **more)))

    @property
    def published(self) -> list[Event]:
        """Without status records."""
        return [event for event in super().published if not isinstance(event, PaymentStatusRecord)]

    def told(self) -> PaymentStatusRecord:
        """The latest status record."""
        return self.all.of(PaymentStatusRecord)[-1]

    def types(self) -> list[type[Event]]:
        return [type(event) for event in self.published]

    def ledger(self) -> dict[str, int]:
        """Balances by account."""
        return dict(self._balances("account"))

    def balance_by_reference(self) -> dict[str, int]:
        """With the provider, without what sums to zero."""
        return {reference: amount for reference, amount in self._balances("reference").items() if amount}

    def _balances(self, by: str) -> Counter[str]:
        sums: Counter[str] = Counter()
        for entry in self.all.of(LedgerEntry):
            if by == "account" or entry.account == PROVIDER_BALANCE:
                sums[getattr(entry, by)] += entry.amount
        return sums


def _check(step: Step) -> None:
    """The payment's invariants hold, and its ledger agrees with it."""
    before, after = step.before, step.decision.state
    if after is None:
        return
    assert broken(after) == []
    transactions: Counter[UUID] = Counter()
    balance = before.captured - before.refunded if before else 0
    for entry in step.decision.records:
        if isinstance(entry, LedgerEntry):
            transactions[entry.transaction] += entry.amount
            balance += entry.amount if entry.account != SALES else 0
    assert not any(transactions.values())
    assert undrawn(step) == []
    assert balance == after.captured - after.refunded


def undrawn(step: Step) -> list[tuple[str, str]]:
    """Changes of status that the README does not draw."""
    payment: Payment | None = step.before
    statuses: dict[int | str, str] = {}
    if payment:
        statuses |= {attempt.number: attempt.status for attempt in payment.attempts}
        statuses |= {refund.id: refund.status for refund in payment.refunds}
    found = []
    for record in step.decision.records:
        if isinstance(record, AttemptRecord | RefundRecord):
            drawn, id = (ATTEMPTS, record.attempt) if isinstance(record, AttemptRecord) else (REFUNDS, record.refund)
            before, after = statuses.get(id), record.status
            if before and (before, after) not in drawn:
                found.append((before, after))
            statuses[id] = record.status
    owed, now = obligation_statuses(payment), obligation_statuses(step.decision.state)
    changes = ((owed[id], now[id]) for id in owed.keys() & now.keys() if owed[id] != now[id])
    return found + [change for change in changes if change not in OBLIGATIONS]


def obligation_statuses(payment: Payment | None) -> dict[str, str]:
    """By refund."""
    return {part.refund: part.status.value for part in obligations(payment)} if payment else {}
