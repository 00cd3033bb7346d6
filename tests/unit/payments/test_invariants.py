"""Random lives of a payment against a provider that keeps its own books: the invariants hold after every decision."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.payments.domain.invariants import broken
from services.payments.domain.ledger import LedgerEntry
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeReported,
    FindCharge,
    FindRefund,
    RefundCharge,
    RefundReported,
)
from services.payments.domain.payment import AttemptStatus, Payment, RefundStatus
from shared.contracts.checkout import OrderCancelled, OrderExpired
from shared.contracts.payments import PaymentCaptured, RefundLine, RefundPayment, SettlePayment
from shared.contracts.values import OrderStatus
from shared.core import Operation, Outcome, Report, Timer
from tests.unit.payments.conversation import Conversation, item, requested

ITEMS = (item("1", 3000), item("2", 1999), item("3", 1))
TOTAL = sum(i.purchased for i in ITEMS)


@dataclass
class Books:
    """A provider: intents and refunds by the id of who asked, so that asking twice does nothing."""

    intents: dict[int, str] = field(default_factory=dict)
    refunds: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)

    def balance(self) -> int:
        captured = TOTAL * sum(status == "succeeded" for status in self.intents.values())
        return captured - sum(amount for _, amount, status in self.refunds.values() if status == "succeeded")

    def charge(self, attempt: int, fate: str) -> Outcome:
        if attempt not in self.intents:
            assert "requires_action" not in self.intents.values(), "a charge while another is open"
            self.intents[attempt] = fate
            self._report(attempt)
        status = self.intents[attempt]
        if status == "failed":
            return ChargeCard.Failed("card_declined", "Declined.")
        return ChargeCard.Done(f"pi_{attempt}", status, TOTAL if status == "succeeded" else 0, "https://bank.example/")  # type: ignore[arg-type]

    def confirm(self, passed: bool) -> None:
        for attempt, status in self.intents.items():
            if status == "requires_action":
                self.intents[attempt] = "succeeded" if passed else "failed"
                self._report(attempt)

    def cancel(self, attempt: int) -> Outcome:
        if self.intents[attempt] == "succeeded":
            return CancelCharge.Done("succeeded", TOTAL)
        if self.intents[attempt] != "cancelled":
            self.intents[attempt] = "cancelled"
            self._report(attempt)
        return CancelCharge.Done("cancelled")

    def refund(self, wish: RefundCharge, fate: str) -> Outcome:
        attempt = int(wish.charge.removeprefix("pi_"))
        if wish.refund not in self.refunds:
            mine = [amount for of, amount, status in self.refunds.values() if of == attempt and status == "succeeded"]
            if fate == "refused" or sum(mine) + wish.amount > TOTAL:
                return RefundCharge.Failed("refused", "Refused.")
            self.refunds[wish.refund] = (attempt, wish.amount, "succeeded")
            self.reports.append(RefundReported(wish.refund, f"re_{wish.refund}", "succeeded"))
        return RefundCharge.Done(f"re_{wish.refund}")

    def bounce(self) -> None:
        for refund, (attempt, amount, status) in self.refunds.items():
            if status == "succeeded":
                self.refunds[refund] = (attempt, amount, "failed")
                self.reports.append(RefundReported(refund, f"re_{refund}", "failed"))
                return

    def find(self, attempt: int) -> FindCharge.Done:
        status = self.intents.get(attempt)
        if status is None:
            return FindCharge.Done("", "failed", code="not_charged")
        return FindCharge.Done(f"pi_{attempt}", status, TOTAL if status == "succeeded" else 0, "https://bank.example/")  # type: ignore[arg-type]

    def find_refund(self, refund: str) -> FindRefund.Done:
        if refund not in self.refunds:
            return FindRefund.Done("", "failed", "not_refunded")
        return FindRefund.Done(f"re_{refund}", self.refunds[refund][2])  # type: ignore[arg-type]

    def _report(self, attempt: int) -> None:
        status = self.intents[attempt]
        amount = TOTAL if status == "succeeded" else 0
        self.reports.append(ChargeReported(attempt, f"pi_{attempt}", status, amount, "https://bank.example/"))  # type: ignore[arg-type]


class Life:
    """One order's payment, its operations in flight and the provider's callbacks on their way."""

    def __init__(self) -> None:
        self.talk = Conversation()
        self.books = Books()
        self.flying: list[Operation] = []
        self.timers: dict[str, Timer] = {}
        self.attempts = 0

    def hear(self, message: object, operation: Operation | None = None) -> None:
        self.talk.hear(message, operation)
        if self.talk.refused is None:
            self.flying += self.talk.operations
            self.timers |= {timer.named(): timer for timer in self.talk.timers}
        self.check()

    def step(self, action: str, pick: int) -> None:
        match action:
            case "request":
                self.attempts += 1
                self.hear(requested(self.attempts, ITEMS))
            case "request_again" if self.attempts:
                self.hear(requested(self.attempts, ITEMS))
            case "cancel" | "expire":
                expired = OrderExpired(was=OrderStatus.PENDING_PAYMENT)
                self.hear(OrderCancelled() if action == "cancel" else expired)
            case "confirm" | "fail_3ds":
                self.books.confirm(action == "confirm")
            case "bounce":
                self.books.bounce()
            case "report" if self.books.reports:
                self.hear(self.books.reports[pick % len(self.books.reports)])
            case "timer" if self.timers:
                self.hear(self.timers.pop(sorted(self.timers)[pick % len(self.timers)]).message)
            case "refund_all":
                self.hear(RefundPayment())
            case "refund_amount":
                self.hear(RefundPayment(amount=1 + pick * 81))
            case "refund_item":
                self.hear(RefundPayment(items=(RefundLine(item=str(1 + pick % 3), amount=None if pick % 2 else pick),)))
            case "settle" | "settle_wrongly" if self.talk.payment is not None:
                self.settle(self.talk.payment, wrongly=action == "settle_wrongly")
            case "answer" | "lose" | "lose_after" | "misjudge" if self.flying:
                self.answer(self.flying.pop(pick % len(self.flying)), action, pick)

    def settle(self, payment: Payment, *, wrongly: bool) -> None:
        """A person looks into the provider's books, or overlooks what is there."""
        for attempt in payment.attempts:
            open_there = self.books.intents.get(attempt.number) == "requires_action"
            if attempt.status is AttemptStatus.UNRESOLVED and not open_there:
                there = self.books.intents.get(attempt.number) == "succeeded" and not wrongly
                proof = {"outcome": "captured", "reference": f"pi_{attempt.number}"} if there else NOT_CHARGED
                self.hear(SettlePayment.model_validate({"attempt": attempt.number, "reason": "seen"} | proof))
                return
        for refund in payment.refunds:
            if refund.status is RefundStatus.UNRESOLVED:
                there = refund.id in self.books.refunds and self.books.refunds[refund.id][2] == "succeeded"
                proof = {"outcome": "refunded", "reference": f"re_{refund.id}"[:60]} if there else NOT_REFUNDED
                self.hear(SettlePayment.model_validate({"refund": refund.id, "reason": "seen"} | proof))
                return

    def answer(self, wish: Operation, action: str, pick: int) -> None:
        """`lose`: nobody knows, and it was not done; `lose_after`: nobody knows, and it was done; `misjudge`: it was
        done, but the last of several tries says failed (a key that was revoked between them)."""
        if action == "lose":
            self.hear(type(wish).Unresolved("no answer"), wish)
            return
        if action == "misjudge":
            self.perform(wish, 3)
            self.hear(type(wish).Failed("api_key_expired", "The key has expired."), wish)
            return
        outcome = self.perform(wish, pick)
        self.hear(outcome if action == "answer" else type(wish).Unresolved("no answer"), wish)

    def perform(self, wish: Operation, pick: int) -> Outcome:
        match wish:
            case ChargeCard():
                return self.books.charge(wish.attempt, ("succeeded", "failed", "requires_action")[pick % 3])
            case CancelCharge():
                return self.books.cancel(wish.attempt)
            case RefundCharge():
                return self.books.refund(wish, "refused" if pick % 5 == 0 else "")
            case FindCharge():
                return self.books.find(wish.attempt)
            case FindRefund():
                return self.books.find_refund(wish.refund)
        raise AssertionError(wish)

    def check(self) -> None:
        payment = self.talk.payment
        if payment is None:
            return
        assert broken(payment) == []
        check_ledger(self.talk, payment)

    def come_to_rest(self) -> None:
        """Everything in flight is answered, every callback and timer arrives, twice."""
        for _ in range(60):
            self.books.confirm(True)
            while self.flying:
                wish = self.flying.pop(0)
                self.hear(self.perform(wish, 3), wish)
            for report in list(self.books.reports):
                self.hear(report)
            if self.timers:
                first = min(self.timers, key=lambda name: self.timers[name].due)
                self.hear(self.timers.pop(first).message)
            elif not self.flying:
                return


def check_ledger(talk: Conversation, payment: Payment) -> None:
    by_transaction: dict[Any, int] = defaultdict(int)
    for entry in talk.kept:
        if isinstance(entry, LedgerEntry):
            by_transaction[entry.transaction] += entry.amount
    assert set(by_transaction.values()) <= {0}
    assert talk.ledger().get("provider_balance", 0) == payment.captured - payment.refunded


ACTIONS = (
    *("request", "request", "request_again", "cancel", "expire", "confirm", "fail_3ds", "bounce", "report", "report"),
    *("timer", "refund_all", "refund_amount", "refund_item", "answer", "answer", "answer", "answer", "lose"),
    *("lose_after", "misjudge", "settle", "settle", "settle_wrongly"),
)
NOT_CHARGED, NOT_REFUNDED = {"outcome": "not_charged"}, {"outcome": "not_refunded"}
STARTS = ((), (("request", 0), ("answer", 0)), (("request", 0), ("misjudge", 0), ("request", 0), ("answer", 0)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(STARTS), st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 60)), max_size=40))
def test_no_life_breaks_an_invariant(start: Sequence[tuple[str, int]], steps: list[tuple[str, int]]) -> None:
    life = Life()
    for action, pick in (*start, *steps):
        life.step(action, pick)
    life.come_to_rest()
    payment = life.talk.payment
    if payment is None:
        return
    assert payment.captured - payment.refunded == life.books.balance()
    captures = [event for event in life.talk.told if isinstance(event, PaymentCaptured)]
    assert len(captures) <= 1
    taken = [a for a in payment.attempts if a.status is AttemptStatus.CAPTURED and not a.surplus]
    assert len(taken) == len(captures)
    assert not payment.unresolved
    assert payment.pending == 0
    bounced = any(status == "failed" for _, _, status in life.books.refunds.values())
    if payment.closed and not bounced and not any(refund.code for refund in payment.refunds):
        assert payment.left == 0
