"""Random histories of a payment with a provider that keeps its own books: the invariants hold after every decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.payments.domain.invariants import broken
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeReported,
    ChargeResult,
    ChargeStatus,
    Fee,
    FindCharge,
    FindFee,
    FindRefund,
    RefundCharge,
    RefundReported,
    RefundResult,
    charge_key,
)
from services.payments.domain.payment import AttemptStatus, Payment, RefundStatus
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaymentClosing
from shared.contracts.payments import PaymentCaptured, PaymentUnresolved, RefundLine, RefundPayment, SettlePayment
from shared.contracts.values import OrderStatus
from shared.core import Operation, Outcome, Report, Task, TimerMessage, Work
from tests.unit.payments.examples import PaymentScenario, item, requested

ITEMS = (item("1", 3000), item("2", 1999), item("3", 1))
TOTAL = sum(i.purchased for i in ITEMS)
AGAIN = 500
FATES: tuple[ChargeStatus, ...] = ("succeeded", "failed", "requires_action")


@dataclass
class Books:
    """A provider: charges by attempt and refunds by our id, so that a repeated request does nothing."""

    charges: dict[int, ChargeResult] = field(default_factory=dict)
    refunds: dict[str, RefundResult] = field(default_factory=dict)
    amounts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each refund: the attempt and the amount."""
    reports: list[Report] = field(default_factory=list)

    def captured(self, attempt: int) -> bool:
        return attempt in self.charges and self.charges[attempt].status == "succeeded"

    def refunded(self, refund: str) -> bool:
        return refund in self.refunds and self.refunds[refund].status == "succeeded"

    def balance(self) -> int:
        captured = TOTAL * sum(self.captured(attempt) for attempt in self.charges)
        return captured - sum(amount for refund, (_, amount) in self.amounts.items() if self.refunded(refund))

    def charge(self, attempt: int, fate: ChargeStatus) -> Outcome:
        if attempt not in self.charges:
            open_charges = [one for one in self.charges.values() if one.status == "requires_action"]
            assert not open_charges, "a charge while another is open"
            self._set(attempt, fate)
        result = self.charges[attempt]
        failed = ChargeCard.Failed("card_declined", "Declined.")
        return failed if result.status == "failed" else ChargeCard.Done(result)

    def confirm(self, passed: bool) -> None:
        for attempt, result in [*self.charges.items()]:
            if result.status == "requires_action":
                self._set(attempt, "succeeded" if passed else "failed")

    def cancel(self, attempt: int) -> Outcome:
        if self.charges[attempt].status not in ("succeeded", "cancelled"):
            self._set(attempt, "cancelled")
        return CancelCharge.Done(self.charges[attempt])

    def refund(self, request: RefundCharge, fate: str) -> Outcome:
        attempt, id = int(request.charge.removeprefix("pi_")), request.refund
        if id not in self.refunds:
            made = sum(amount for other, (of, amount) in self.amounts.items() if of == attempt and self.refunded(other))
            if fate == "refused" or made + request.amount > TOTAL:
                return request.Failed("refused", "Refused.")
            self.amounts[id] = attempt, request.amount
            self._set_refund(id, RefundResult(f"re_{id}"))
        return request.Done(self.refunds[id] if self.refunded(id) else RefundResult(f"re_{id}"))

    def bounce(self) -> None:
        refund = next(filter(self.refunded, self.refunds), None)
        if refund:
            self._set_refund(refund, replace(self.refunds[refund], status="failed"))

    def find(self, attempt: int) -> FindCharge.Done:
        return FindCharge.Done(self.charges.get(attempt) or ChargeResult("", "failed", code="not_charged"))

    def find_refund(self, refund: str) -> FindRefund.Done:
        return FindRefund.Done(self.refunds.get(refund) or RefundResult("", "failed", "not_refunded"))

    def _set(self, attempt: int, status: ChargeStatus) -> None:
        self.charges[attempt] = self._charge(f"pi_{attempt}", attempt, status)
        self.reports.append(ChargeReported(attempt, self.charges[attempt]))

    def _charge(self, reference: str, attempt: int, status: ChargeStatus) -> ChargeResult:
        amount, key = TOTAL if status == "succeeded" else 0, charge_key("o-1", attempt)
        whose: dict[str, Any] = {"requested": TOTAL, "currency": "USD", "store": "s-1", "key": key}
        return ChargeResult(reference, status, amount, "https://bank.example/", **whose)

    def capture_again(self, attempt: int) -> None:
        """Under the same key, as when the provider has forgotten it."""
        if self.captured(attempt) and AGAIN + attempt not in self.charges:
            result = self._charge(f"pi_{AGAIN + attempt}", attempt, "succeeded")
            self.charges[AGAIN + attempt] = result
            self.reports.append(ChargeReported(attempt, result))

    def add_stray(self, attempt: int, amount: int) -> None:
        """Made by others, with our metadata."""
        result = self._charge(f"pi_stray_{amount}", attempt, "succeeded")
        self.reports.append(ChargeReported(attempt, replace(result, amount=amount, requested=amount)))

    def refund_in_dashboard(self, attempt: int, amount: int) -> None:
        made = sum(cents for other, (of, cents) in self.amounts.items() if of == attempt and self.refunded(other))
        if self.captured(attempt) and made + amount <= TOTAL:
            id = f"dashboard-{len(self.refunds)}"
            self.amounts[id] = attempt, amount
            self.refunds[id] = RefundResult(f"re_{id}", charge=f"pi_{attempt}", amount=amount, currency="USD")
            self.reports.append(RefundReported("", self.refunds[id]))

    def _set_refund(self, refund: str, result: RefundResult) -> None:
        self.refunds[refund] = result
        self.reports.append(RefundReported(refund, result))


class History:
    """One order's payment, and the provider's books."""

    def __init__(self) -> None:
        self.payment = PaymentScenario()
        self.books = Books()
        self.attempts = 0

    def step(self, action: str, pick: int) -> None:
        payment, books, pending = self.payment, self.books, self.payment.pending
        match action:
            case "request" | "request_again":
                self.attempts += action == "request" or not self.attempts
                payment.hear(requested(self.attempts, ITEMS))
            case "cancel" | "expire" | "close":
                payment.hear(ENDS[action])
            case "confirm" | "fail_3ds":
                books.confirm(action == "confirm")
            case "bounce":
                books.bounce()
            case "report" if books.reports:
                payment.hear(books.reports[pick % len(books.reports)])
            case "timer" if pending:
                payment.let_go_off(sorted(pending)[pick % len(pending)][1])
            case "refund_all" | "refund_amount":
                payment.offer(RefundPayment(amount=1 + pick * 81 if action == "refund_amount" else None))
            case "refund_item":
                line = RefundLine(item=str(1 + pick % 3), amount=None if pick % 2 else pick)
                payment.offer(RefundPayment(items=(line,)))
            case "record":
                payment.offer(RefundPayment(amount=1 + pick * 80, refund_payment=False, note="In cash."))
            case "settle" | "settle_wrongly" if payment.row(Payment):
                self.settle(wrongly=action == "settle_wrongly")
            case "answer" | "lose" | "lose_after" | "misjudge" if payment.open:
                self.answer(payment.open[pick % len(payment.open)][1], action, pick)

            case _ if self.attempts:
                self.go_on(action, 1 + pick % self.attempts, pick)

    def go_on(self, action: str, attempt: int, pick: int) -> None:
        match action:
            case "capture_again":
                self.books.capture_again(attempt)
            case "stray":
                self.books.add_stray(attempt, 1 + pick)
            case "dashboard":
                self.books.refund_in_dashboard(attempt, 1 + pick * 83)
            case "refund_attempt":
                self.payment.offer(RefundPayment(attempt=attempt))

    def settle(self, *, wrongly: bool) -> None:
        """Staff look into the provider's books, or overlook what is there."""
        for attempt in self.payment.state.attempts:
            there = self.books.charges.get(attempt.number)
            if attempt.status is AttemptStatus.UNRESOLVED and not (there and there.status == "requires_action"):
                captured = self.books.captured(attempt.number) and not wrongly
                proof = {"outcome": "captured", "reference": f"pi_{attempt.number}"} if captured else NOT_CHARGED
                self.payment.offer(SettlePayment.model_validate({"attempt": attempt.number, "reason": "seen"} | proof))
                return
        for refund in self.payment.state.refunds:
            if refund.status is RefundStatus.UNRESOLVED:
                made = self.books.refunded(refund.id)
                proof = {"outcome": "refunded", "reference": f"re_{refund.id}"[:60]} if made else NOT_REFUNDED
                self.payment.offer(SettlePayment.model_validate({"refund": refund.id, "reason": "seen"} | proof))
                return

    def answer(self, operation: Operation, action: str, pick: int) -> None:
        """`lose`: its outcome is unknown, and it was not done; `lose_after`: … and it was done; `misjudge`: it was
        done, but the last of several calls says failed (a key that was revoked between them)."""
        kind = type(operation)
        if action != "lose":
            outcome = self.perform(operation, 3 if action == "misjudge" else pick)
        if action == "misjudge":
            outcome = kind.Failed("api_key_expired", "The key has expired.")
        elif action != "answer":
            outcome = kind.Unresolved("no answer")
        self.payment.answer(operation, outcome)

    def perform(self, operation: Operation, pick: int) -> Outcome:
        match operation:
            case ChargeCard():
                return self.books.charge(operation.attempt, FATES[pick % 3])
            case CancelCharge():
                return self.books.cancel(operation.attempt)
            case RefundCharge():
                return self.books.refund(operation, "refused" if pick % 5 == 0 else "")
            case FindCharge():
                return self.books.find(operation.attempt)
            case FindFee():
                return FindFee.Done(Fee(30, "EUR"))
            case FindRefund():
                return self.books.find_refund(operation.refund)
        raise AssertionError(operation)

    def come_to_rest(self) -> None:
        """Everything in flight is answered, every callback and timer arrives, twice."""
        payment, books = self.payment, self.books
        for _ in range(60):
            books.confirm(True)
            while payment.open:
                operation = payment.open[0][1]
                payment.answer(operation, self.perform(operation, 3))
            for report in list(books.reports):
                payment.hear(report)
            if payment.pending:
                payment.let_go_off(min(payment.pending, key=lambda name: payment.pending[name].due)[1])
            elif not payment.open:
                return


ACTIONS = (
    *(
        "request",
        "request",
        "request_again",
        "cancel",
        "expire",
        "close",
        "confirm",
        "fail_3ds",
        "bounce",
        "report",
        "report",
    ),
    *("timer", "refund_all", "refund_amount", "refund_item", "answer", "answer", "answer", "answer", "lose"),
    *("lose_after", "misjudge", "settle", "settle", "settle_wrongly", "capture_again", "stray", "dashboard"),
    *("dashboard", "record", "refund_attempt"),
)
ENDS: Mapping[str, object] = {
    "cancel": OrderCancelled(),
    "expire": OrderExpired(was=OrderStatus.PENDING_PAYMENT),
    "close": OrderPaymentClosing(attempt=1),
}
NOT_CHARGED, NOT_REFUNDED = {"outcome": "not_charged"}, {"outcome": "not_refunded"}
STARTS = ((), (("request", 0), ("answer", 0)), (("request", 0), ("misjudge", 0), ("request", 0), ("answer", 0)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(STARTS), st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 60)), max_size=40))
@example(STARTS[1], [("cancel", 0), ("dashboard", 0), ("bounce", 0), ("answer", 1), ("bounce", 0)])
def test_no_history_breaks_an_invariant(start: Sequence[tuple[str, int]], steps: list[tuple[str, int]]) -> None:
    history = History()
    for action, pick in (*start, *steps):
        history.step(action, pick)
        if history.payment.row(Payment):
            assert broken(history.payment.state, at_rest=True, work=under_way(history.payment)) == []
    history.come_to_rest()
    payment = history.payment.row(Payment)
    if payment is None:
        return
    recorded = sum(it.amount for it in payment.refunds if it.recorded and it.status is RefundStatus.DONE)
    texts = [event.text for event in history.payment.all.published if isinstance(event, PaymentUnresolved)]
    staff_paid_twice = any(it.recorded for it in payment.refunds) and any("reserved" in text for text in texts)
    assert staff_paid_twice or payment.captured - payment.refunded + recorded == history.books.balance()
    assert {stray.ours for stray in payment.strays} <= {False}
    captures = {event.attempt for event in history.payment.all.published if isinstance(event, PaymentCaptured)}
    assert len(captures) <= 1
    paying = [a for a in payment.attempts if a.status is AttemptStatus.CAPTURED and not a.surplus]
    assert len(paying) == len(captures)
    if staff_paid_twice:
        return
    assert broken(payment, at_rest=True) == []
    assert not payment.unresolved
    assert payment.pending == 0
    assert not (payment.closing and (payment.open_attempt or payment.waiting)), "checkout gets an answer"
    bounced = any(result.status == "failed" for result in history.books.refunds.values())
    if not bounced:
        assert payment.owed == 0


def under_way(payment: PaymentScenario, without: str = "") -> Work:
    """All that is to come, but one: a class name, and what it is about."""
    to_come: list[Operation | TimerMessage] = [
        *(call for _, call in payment.open),
        *(timer.message for timer in payment.pending.values()),
    ]
    tasks = (Task("payments", type(one).__qualname__, one.about()) for one in to_come)
    return Work(frozenset(task for task in tasks if f"{task.kind} {task.about}" != without))


def lost(payment: PaymentScenario, call: str) -> list[str]:
    """The rules that are broken without it."""
    assert broken(payment.state, at_rest=True, work=under_way(payment)) == []
    return broken(payment.state, at_rest=True, work=under_way(payment, call))


CHARGE, REFUND = "a charge in progress has its call", "a refund in progress has its call"


def test_of_two_refunds_the_one_whose_call_is_lost_is_found() -> None:
    """Whatever else is to come for the payment."""
    payment = PaymentScenario(requested(1, ITEMS)).pay()
    payment.hear(RefundPayment(amount=100)).hear(RefundPayment(amount=200))
    first, second = payment.state.refunds
    assert lost(payment, f"RefundCharge {first.id}") == lost(payment, f"RefundCharge {second.id}") == [REFUND]
    unconfirmed = next(call for _, call in payment.open if call.about() == second.id)
    payment.answer(unconfirmed, RefundCharge.Unresolved("no answer"))
    assert lost(payment, f"RefundCharge {first.id}") == lost(payment, f"RefundCheckDue {second.id}") == [REFUND]
    payment.let_go_off(f"check_refund_{second.id}")
    assert lost(payment, f"FindRefund {second.id}") == [REFUND]
    assert broken(payment.state, at_rest=True, work=Work(parked=frozenset({"payments"}))) == []


def test_a_charge_whose_call_is_lost_is_found() -> None:
    payment = PaymentScenario(requested(1, ITEMS))
    assert lost(payment, "ChargeCard 1") == [CHARGE]
    payment.ask_for_3ds()
    assert broken(payment.state, at_rest=True) == [], "the customer has to confirm it"
    payment.hear(requested(2, ITEMS))
    assert lost(payment, "CancelCharge 1") == [CHARGE]
    payment.answer(CancelCharge, CancelCharge.Unresolved("no answer"))
    assert lost(payment, "ChargeCheckDue 1") == [CHARGE]
