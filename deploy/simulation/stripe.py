"""Stripe, as far as payments sees it: intents, refunds, idempotency keys, callbacks – with books of its own."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from deploy.simulation.history import History
from deploy.simulation.outside import Answer, Outside, by_nobody
from deploy.simulation.weather import Weather
from services.payments.domain.operations import (
    CancelIntent,
    ChargeCard,
    ChargeStatus,
    FindIntent,
    FindRefund,
    IntentReported,
    RefundCharge,
    RefundProgress,
    RefundReported,
)
from shared.contracts.values import Card
from shared.shell.core import NotDone, Outcome, Report, Unknown

Deliver = Callable[[str, str, str, Report], Awaitable[bool]]
"""Posts a callback to payments: event id, order, store, report. False when nobody took it."""
IntentStatus = Literal["succeeded", "requires_action", "processing", "failed", "cancelled"]
VISA = Card(brand="visa", last4="4242", exp_month=12, exp_year=2030)


@dataclass
class MadeRefund:
    id: str
    refund: str
    amount: int
    status: RefundProgress


@dataclass
class Intent:
    id: str
    order: str
    store: str
    attempt: int
    amount: int
    currency: str
    status: IntentStatus
    code: str = ""
    refunds: list[MadeRefund] = field(default_factory=list)

    @property
    def captured(self) -> int:
        return self.amount if self.status == "succeeded" else 0

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds if refund.status != "failed")


CARDS: dict[str, IntentStatus] = {
    "pm_good": "succeeded",
    "pm_declined": "failed",
    "pm_3ds": "requires_action",
    "pm_slow": "processing",
}
"""What a charge of each payment method becomes."""


class Stripe(Outside):
    """Performs payments' operations. An operation that comes again under its key gets its first answer."""

    can_arrive_late = True

    def __init__(self, weather: Weather, history: History, chance: random.Random, deliver: Deliver) -> None:
        super().__init__(weather, history, chance)
        self.intents: dict[str, Intent] = {}
        self.effects: Counter[str] = Counter()
        """How often each key had an effect."""
        self.callbacks = 0
        """Events that are still to be delivered."""
        self._deliver = deliver
        self._answers: dict[str, Outcome] = {}
        self._events = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, operation: ChargeCard | CancelIntent | RefundCharge | FindIntent | FindRefund, key: str) -> Answer:
        match operation:
            case ChargeCard() | RefundCharge() if key in self._answers:
                return self._now(operation, key)
            case ChargeCard():
                return self._once(key, self._charge(operation))
            case RefundCharge():
                return self._once(key, self._refund(operation))
            case CancelIntent():
                return self._cancel(operation)
            case FindIntent():
                return self._find(operation)
            case FindRefund():
                return self._find_refund(operation)

    async def find(self, operation: object, key: str) -> Outcome | NotDone | Unknown:
        """A refund is looked for in the books; a charge is asked for again under its key."""
        if not isinstance(operation, RefundCharge):
            return NotDone()
        trouble = self.weather.provider()
        await asyncio.sleep(self.chance.random() * 0.05)
        if trouble:
            return Unknown("no answer to the question")
        made = self._made(operation.intent, operation.refund)
        return RefundCharge.Done(made.id, made.status) if made else NotDone()

    def _once(self, key: str, answer: Outcome) -> Outcome:
        self.effects[key] += 1
        self._answers[key] = answer
        return answer

    def _now(self, operation: object, key: str) -> Outcome:
        """The first answer, byte for byte, as Stripe repeats it: also where things have moved on since."""
        return self._answers[key]

    # Charges

    def _charge(self, charge: ChargeCard) -> Outcome:
        status = CARDS.get(charge.payment_method, "succeeded")
        number = len(self.intents) + 1
        intent = Intent(
            f"pi_{number}", charge.order, charge.store, charge.attempt, charge.amount, charge.currency, status
        )
        self.intents[intent.id] = intent
        if status == "failed":
            intent.code = "insufficient_funds"
            self._tell_intent(intent)
            return ChargeCard.Failed("insufficient_funds", "Your card has insufficient funds.", intent.id, VISA)
        if status == "processing":
            self._later(lambda: self._settle(intent, "succeeded" if self.chance.random() < 0.7 else "failed"))
        self._tell_intent(intent)
        return ChargeCard.Done(intent.id, _charge_status(intent), intent.captured, _url(intent), VISA)

    def _settle(self, intent: Intent, status: IntentStatus) -> None:
        if intent.status == "processing":
            intent.status = status
            intent.code = "do_not_honor" if status == "failed" else ""
            self._tell_intent(intent)

    def confirm(self, order: str, *, well: bool) -> bool:
        """The customer confirms (or fails) 3-D Secure. False when there is nothing to confirm any more."""
        waiting = [i for i in self.intents.values() if i.order == order and i.status == "requires_action"]
        if not waiting:
            return False
        intent = waiting[-1]
        intent.status = "succeeded" if well else "failed"
        intent.code = "" if well else "authentication_failed"
        self.history.add("customer", order, f"3-D Secure of {intent.id}: {intent.status}")
        self._tell_intent(intent)
        return True

    def _cancel(self, cancel: CancelIntent) -> Outcome:
        intent = self.intents[cancel.intent]
        if intent.status == "succeeded":
            return CancelIntent.Done("succeeded", intent.captured, VISA)
        if intent.status == "processing":
            return CancelIntent.Failed("unexpected_state", "The payment is processing at Stripe; look there.")
        if intent.status != "cancelled":
            intent.status = "cancelled"
            self._tell_intent(intent)
        return CancelIntent.Done("cancelled")

    def _find(self, wanted: FindIntent) -> Outcome:
        found = [i for i in self.intents.values() if i.order == wanted.order and i.attempt == wanted.attempt]
        intent = self.intents.get(wanted.intent) or next(iter(found), None)
        if intent is None:
            return FindIntent.Done("", "failed", code="not_charged", text="Stripe has no such payment.")
        status = _charge_status(intent)
        return FindIntent.Done(intent.id, status, intent.captured, _url(intent), VISA, intent.code, intent.code)

    # Refunds

    def _refund(self, wanted: RefundCharge) -> Outcome:
        intent = self.intents[wanted.intent]
        if wanted.amount > intent.captured - intent.refunded:
            return RefundCharge.Failed("charge_already_refunded", "more than is left")
        if self.weather.happens(self.weather.level.raises):
            return RefundCharge.Failed("insufficient_balance", "the store's balance is too low")
        pending = self.weather.happens(self.weather.level.webhook_late)
        number = sum(len(one.refunds) for one in self.intents.values()) + 1
        made = MadeRefund(f"re_{number}", wanted.refund, wanted.amount, "pending" if pending else "succeeded")
        intent.refunds.append(made)
        self._tell_refund(intent, made)
        if pending:
            status: RefundProgress = "succeeded" if self.chance.random() < 0.8 else "failed"
            self._later(lambda: self._settle_refund(intent, made, status))
        return RefundCharge.Done(made.id, made.status)

    def _settle_refund(self, intent: Intent, made: MadeRefund, status: RefundProgress) -> None:
        made.status = status
        self._tell_refund(intent, made)

    def _made(self, intent: str, refund: str) -> MadeRefund | None:
        return next((made for made in self.intents[intent].refunds if made.refund == refund), None)

    def _find_refund(self, wanted: FindRefund) -> Outcome:
        made = self._made(wanted.intent, wanted.refund)
        return FindRefund.Done(made.id, made.status) if made else FindRefund.Done("", "failed", "not_refunded")

    # Callbacks

    def _tell_intent(self, intent: Intent) -> None:
        if intent.status == "processing":
            return
        report = IntentReported(
            intent.attempt, intent.id, _charge_status(intent), intent.captured, _url(intent), VISA, intent.code, ""
        )
        self._tell(intent, report)

    def _tell_refund(self, intent: Intent, made: MadeRefund) -> None:
        self._tell(intent, RefundReported(made.refund, made.id, made.status, "" if made.status != "failed" else "lost"))

    def _tell(self, intent: Intent, report: Report) -> None:
        self._events += 1
        event = f"evt_{self._events}"
        level = self.weather.level
        times = 1 + (2 if self.weather.happens(level.webhook_repeated) else 0)
        if times > 1:
            self.history.fault("callback_repeated", event)
        for _ in range(times):
            late = self.weather.happens(level.webhook_late)
            if late:
                self.history.fault("callback_late", event)
            delay = self.chance.random() * (300.0 if late else 0.3)
            self._run(lambda delay=delay: self._post(event, intent, report, delay))  # type: ignore[misc]

    async def _post(self, event: str, intent: Intent, report: Report, delay: float) -> None:
        """As Stripe: until it is taken, later and later."""
        self.callbacks += 1
        try:
            await asyncio.sleep(delay)
            wait = 0.5
            while not await self._deliver(event, intent.order, intent.store, report):
                await asyncio.sleep(wait)
                wait = min(wait * 2, 600.0)
        finally:
            self.callbacks -= 1

    def _later(self, effect: Callable[[], None]) -> None:
        async def happen() -> None:
            self.callbacks += 1
            await asyncio.sleep(self.chance.random() * self.chance.choice((0.2, 2.0, 600.0)))
            self.callbacks -= 1
            effect()

        self._run(happen)

    def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        task = by_nobody(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _charge_status(intent: Intent) -> ChargeStatus:
    return intent.status


def _url(intent: Intent) -> str:
    return f"https://bank.example/{intent.id}" if intent.status == "requires_action" else ""
