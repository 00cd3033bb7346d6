"""Stripe, as far as payments sees it: intents, refunds, idempotency keys, callbacks – with books of its own."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from deploy.simulation.outage import Outage
from deploy.simulation.outside import TOO_EARLY, Outside, Reply
from deploy.simulation.stripe_books import Intent, MadeRefund
from deploy.simulation.tasks import unowned
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
    RefundProgress,
    RefundReported,
    RefundResult,
)
from services.payments.gateways.stripe.currencies import to_stripe
from shared.core import NoOutcome, NotDone, OperatorFault, Outcome, Report, Unknown

Deliver = Callable[[str, str, str, Report], Awaitable[bool]]
"""Posts a callback to payments: event id, order, store, report. False when payments did not take it."""
CHARGES = "stripe: charges"
"""The name in `FaultProfile.outages` of an account that makes no charges."""
WELL = ("", "lost_after", "hangs_after", "slow")
"""What is wrong with calls that Stripe gets."""


CARDS: dict[str, ChargeStatus] = {
    "pm_good": "succeeded",
    "pm_declined": "failed",
    "pm_3ds": "requires_action",
    "pm_slow": "processing",
}
"""What a charge of each payment method becomes."""


KEYS_LIVE = timedelta(hours=24)
"""How long Stripe remembers an idempotency key: https://docs.stripe.com/api/idempotent_requests."""


@dataclass(frozen=True)
class Remembered:
    """The first call under a key."""

    operation: object
    answer: Outcome
    at: datetime


class Stripe(Outside):
    """Performs payments' operations. An operation that comes again under its key has no second effect."""

    name = "stripe"
    longest_pause = 60.0
    can_arrive_late = True

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random, deliver: Deliver) -> None:
        super().__init__(profile, history, rng)
        self.intents: dict[str, Intent] = {}
        self.effects: Counter[str] = Counter()
        """How often each key had an effect."""
        self.callbacks = 0
        """Events that are still to be delivered."""
        self.watchers: list[Callable[[Intent, MadeRefund | None], None]] = []
        """Are told of each new status of a payment or a refund."""
        self._deliver = deliver
        self._answers: dict[str, Remembered] = {}
        self._keys: dict[tuple[str, int | str], str] = {}
        """Under which key an attempt or a refund was last asked for."""
        self._events = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def perform(self, operation: Any, key: str) -> Reply:
        match operation:
            case ChargeCard():
                self._keys[operation.order, operation.attempt] = key
            case RefundCharge():
                self._keys[operation.order, operation.refund] = key
        return await super().perform(operation, key)

    async def _not_done(
        self, operation: Any, key: str, call: object, trouble: str, outage: Outage | None
    ) -> Reply | None:
        paused = self.profile.outages.get(CHARGES)
        if (
            paused
            and isinstance(operation, ChargeCard)
            and not outage
            and trouble in WELL
            and not self._answers.get(key)
        ):
            return OperatorFault(paused.text)
        return await super()._not_done(operation, key, call, trouble, outage)

    def do(
        self, operation: ChargeCard | CancelCharge | RefundCharge | FindCharge | FindFee | FindRefund, key: str
    ) -> Reply:
        match operation:
            case ChargeCard() | RefundCharge() if known := self._remembered(key):
                return self._now(operation, known)
            case ChargeCard():
                return self._once(operation, key, self._charge(operation))
            case RefundCharge():
                return self._once(operation, key, self._refund(operation))
            case CancelCharge():
                return self._cancel(operation)
        return self._look_up(operation)

    def _look_up(self, operation: FindCharge | FindFee | FindRefund) -> Reply:
        match operation:
            case FindCharge():
                return self._find(operation)
            case FindFee():
                return FindFee.Done(Fee(30, "EUR"))
            case FindRefund():
                return self._find_refund(operation)

    async def find(self, operation: object, key: str) -> Outcome | NotDone | NoOutcome:
        """What the books say: of a refund by its own id, of a charge by order and attempt."""
        return await self.look_up(key, lambda: self._on_record(operation))

    def _on_record(self, operation: object) -> Outcome | None:
        match operation:
            case RefundCharge():
                made = self._made(operation.charge, operation.refund)
                return operation.Done(self.intents[operation.charge].result_of(made)) if made else None
            case ChargeCard():
                intent = self._intent(operation.order, operation.attempt)
                if intent is None:
                    return None
                return _charged(intent)
        return None

    def _intent(self, order: str, attempt: int) -> Intent | None:
        found = [i for i in self.intents.values() if (i.order, i.attempt, i.stray) == (order, attempt, False)]
        return next(iter(found), None)

    def _remembered(self, key: str) -> Remembered | None:
        known = self._answers.get(key)
        return known if known and self.history.now() - known.at < KEYS_LIVE else None

    def _once(self, operation: object, key: str, answer: Outcome) -> Outcome:
        self.effects[key] += 1
        self._answers[key] = Remembered(operation, answer, self.history.now())
        return answer

    def _now(self, operation: object, known: Remembered) -> Reply:
        """Stripe repeats its first answer, also where things have moved on since, and the gateway reads what was made
        again. The same key for something else is an `idempotency_error`."""
        if _sent(known.operation) != _sent(operation):
            return Unknown("another call was made under this key")
        return self._on_record(operation) or known.answer

    def books(self, order: str, attempt: int) -> Intent | Literal["too early"] | None:
        """What staff read in Stripe's dashboard."""
        found = self._intent(order, attempt)
        return "too early" if found is None and self._asked(order, attempt) else found

    def _asked(self, order: str, what: int | str) -> bool:
        """Whether a request for an attempt or a refund may still be on its way."""
        return self.on_its_way(self._keys.get((order, what), ""))

    # Charges

    def _charge(self, charge: ChargeCard) -> Outcome:
        status = CARDS.get(charge.payment_method, "succeeded")
        if charge.customer and charge.payment_method in ("pm_3ds", "pm_away"):  # the customer is away
            status = "failed"
        number = len(self.intents) + 1
        amount = to_stripe(charge.amount, charge.currency)
        intent = Intent(f"pi_{number}", charge.order, charge.store, charge.attempt, amount, charge.currency, status)
        if amount % intent.step:
            return ChargeCard.Failed("invalid_charge_amount", f"not a multiple of {intent.step}")
        self.intents[intent.id] = intent
        intent.kept_card = bool(charge.customer)
        if status == "failed":
            intent.code = "authentication_required" if charge.customer else "insufficient_funds"
        if status == "processing":
            self._later(lambda: self._settle(intent, well=self.rng.random() < 0.7))
        self._tell_intent(intent)
        return _charged(intent)

    def _settle(self, intent: Intent, *, well: bool) -> None:
        if intent.status == "processing" and not intent.ends_late:
            self.end(intent, well=well)

    def confirm(self, order: str, *, well: bool) -> bool:
        """The customer confirms (or fails) 3-D Secure. False when there is nothing to confirm any more."""
        waiting = [i for i in self.intents.values() if i.order == order and i.status == "requires_action"]
        if not waiting or waiting[-1].ends_late:
            return False
        self.end(waiting[-1], well=well)
        return True

    def end(self, intent: Intent, *, well: bool) -> None:
        """Captured, or declined by the bank."""
        before = intent.status
        intent.status = "succeeded" if well else "failed"
        if before == "requires_action":
            self.history.add("customer", intent.order, f"3-D Secure of {intent.id}: {intent.status}")
        intent.code = "" if well else "authentication_failed" if before == "requires_action" else "do_not_honor"
        self._tell_intent(intent)

    def _cancel(self, cancel: CancelCharge) -> Outcome:
        intent = self.intents[cancel.reference]
        if intent.status == "succeeded":
            return CancelCharge.Done(intent.result)
        if intent.status == "processing":
            text = "The payment is processing at Stripe. Check it in the dashboard."
            return CancelCharge.Failed("unexpected_state", text)
        if intent.status != "cancelled":
            intent.status = "cancelled"
            self._tell_intent(intent)
        return CancelCharge.Done(intent.result)

    def _find(self, wanted: FindCharge) -> Reply:
        intent = self.intents.get(wanted.reference) or self._intent(wanted.order, wanted.attempt)
        if intent is None and self._asked(wanted.order, wanted.attempt):
            return Unknown(TOO_EARLY)
        if intent is None:
            text = "Stripe has no such payment."
            return FindCharge.Done(ChargeResult("", "failed", code="not_charged", text=text))
        return FindCharge.Done(intent.result)

    # Refunds

    def _refund(self, wanted: RefundCharge) -> Outcome:
        intent, amount = self.intents[wanted.charge], to_stripe(wanted.amount, wanted.currency)
        if amount > intent.left:
            return wanted.Failed("charge_already_refunded", "more than is left")
        if amount % intent.step:
            return wanted.Failed("invalid_refund_amount", f"not a multiple of {intent.step}")
        if self.profile.happens(self.profile.level.refund_refused):
            self.history.fault("refund_refused", wanted.refund)
            return wanted.Failed("insufficient_balance", "the store's balance is too low")
        pending = self.profile.happens(self.profile.level.webhook_late)
        made = MadeRefund(self.next_refund(), wanted.refund, amount, "pending" if pending else "succeeded")
        intent.refunds.append(made)
        self._tell_refund(intent, made)
        if pending:
            status: RefundProgress = "succeeded" if self.rng.random() < 0.8 else "failed"
            self._later(lambda: self._settle_refund(intent, made, status))
        return wanted.Done(intent.result_of(made))

    def next_refund(self) -> str:
        return f"re_{sum(len(one.refunds) for one in self.intents.values()) + 1}"

    def _settle_refund(self, intent: Intent, made: MadeRefund, status: RefundProgress) -> None:
        made.status = status
        self._tell_refund(intent, made)

    def _made(self, intent: str, refund: str) -> MadeRefund | None:
        return next((made for made in self.intents[intent].refunds if made.refund == refund), None)

    def _find_refund(self, wanted: FindRefund) -> Reply:
        made = self._made(wanted.charge, wanted.refund)
        if made is None and self._asked(wanted.order, wanted.refund):
            return Unknown(TOO_EARLY)
        if made is None and wanted.reference:
            made = next((one for one in self.intents[wanted.charge].refunds if one.id == wanted.reference), None)
            if made is None:
                return FindRefund.Failed("not_refunded", "no such refund")
        found = self.intents[wanted.charge].result_of(made) if made else RefundResult("", "failed", "not_refunded")
        return FindRefund.Done(found)

    # Callbacks

    def notify(self, intent: Intent, made: MadeRefund | None = None) -> None:
        """What was done without orderbus."""
        if made:
            self._tell_refund(intent, made)
        else:
            self._tell_intent(intent)

    def _tell_intent(self, intent: Intent) -> None:
        for watcher in self.watchers:
            watcher(intent, None)
        if intent.status == "processing":
            return
        if not intent.falsely_declined and self.profile.happens(self.profile.level.webhook_lost):
            self.history.fault("callback_lost", intent.id)
            return  # of a false decline only `orderbus check` could know then
        self._tell(intent, ChargeReported(intent.attempt, intent.result))

    def _tell_refund(self, intent: Intent, made: MadeRefund) -> None:
        for watcher in self.watchers:
            watcher(intent, made)
        self._tell(intent, RefundReported(made.refund, intent.result_of(made)))

    def _tell(self, intent: Intent, report: Report) -> None:
        self._events += 1
        event = f"evt_{self._events}"
        level = self.profile.level
        times = 1 + (2 if self.profile.happens(level.webhook_repeated) else 0)
        if times > 1:
            self.history.fault("callback_repeated", event)
        for _ in range(times):
            late = self.profile.happens(level.webhook_late)
            if late:
                self.history.fault("callback_late", event)
            delay = self.rng.random() * (300.0 if late else 0.3)
            self._run(lambda delay=delay: self._post(event, intent, report, delay))  # type: ignore[misc]

    async def _post(self, event: str, intent: Intent, report: Report, delay: float) -> None:
        """As Stripe: until it is taken, later and later."""
        self.callbacks += 1
        try:
            await asyncio.sleep(delay)
            wait = 0.5
            while self._cut_off() or not await self._deliver(event, intent.order, intent.store, report):
                await asyncio.sleep(wait)
                wait = min(wait * 2, 600.0)
        finally:
            self.callbacks -= 1

    def _cut_off(self) -> bool:
        outage = self.profile.outages.get(self.name)
        return outage is not None and outage.kind in ("answers_lost", "down", "silent")

    def _later(self, effect: Callable[[], None]) -> None:
        async def happen() -> None:
            self.callbacks += 1
            await asyncio.sleep(self.rng.random() * self.rng.choice((0.2, 2.0, 600.0)))
            self.callbacks -= 1
            effect()

        self._run(happen)

    def _run(self, work: Callable[[], Awaitable[None]]) -> None:
        task = unowned(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _sent(operation: object) -> object:
    """What of an operation Stripe gets to see."""
    return replace(operation, since=None, until=None) if isinstance(operation, ChargeCard) else operation


def _charged(intent: Intent) -> Outcome:
    result = intent.result
    if result.status == "failed":
        return ChargeCard.Failed(result.code, result.text, result.reference, result.card, result.reason)
    return ChargeCard.Done(result)
