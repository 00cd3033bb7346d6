"""Stripe, as far as cards are verified and kept before an order is accepted: authorisations with books of their own."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from deploy.simulation.outside import TOO_EARLY, Outside, Reply
from deploy.simulation.stripe import Deliver
from deploy.simulation.tasks import unowned
from services.payments.domain.verification import (
    FindVerification,
    ForgetCard,
    ReleaseVerification,
    VerificationProgress,
    VerificationReported,
    VerificationResult,
    VerifyCard,
)
from shared.contracts.values import Card
from shared.core import NoOutcome, NotDone, Outcome, Unknown

VISA = Card(brand="visa", last4="4242", exp_month=12, exp_year=2030)
CARDS: dict[str, VerificationProgress] = {"pm_declined": "failed", "pm_3ds": "requires_action"}
"""What the verification of each payment method becomes; of others: verified."""


@dataclass
class Authorisation:
    id: str
    order: str
    store: str
    number: int
    amount: int
    method: str
    status: VerificationProgress
    kept: bool = False
    """The customer's card is kept."""

    @property
    def held(self) -> int:
        return self.amount if self.status == "verified" else 0

    @property
    def result(self) -> VerificationResult:
        match self.status:
            case "verified":
                customer = f"cus_{self.order}"
                return VerificationResult(
                    self.id, "verified", self.held, card=VISA, customer=customer, payment_method=self.method
                )
            case "requires_action":
                return VerificationResult(self.id, "requires_action", url=f"https://bank.example/{self.id}", card=VISA)
            case "failed":
                return VerificationResult(self.id, "failed", card=VISA, code="do_not_honor", text="do_not_honor")
        return VerificationResult(self.id, self.status, card=VISA, payment_method=self.method)


class CardVerifications(Outside):
    name = "stripe"
    longest_pause = 60.0
    can_arrive_late = True

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random, deliver: Deliver) -> None:
        super().__init__(profile, history, rng)
        self.callbacks = 0
        """Events that are still to be delivered."""
        self._deliver = deliver
        self._tasks: set[asyncio.Task[None]] = set()
        self.made: dict[str, Authorisation] = {}
        """By our key."""
        self.effects: Counter[str] = Counter()

    def do(self, operation: VerifyCard | ReleaseVerification | FindVerification | ForgetCard, key: str) -> Reply:
        match operation:
            case ForgetCard():
                return self._forget(operation)
            case VerifyCard():
                return self._answer(self._once(operation))
            case ReleaseVerification():
                return self._release(operation)
        made = self.made.get(operation.key)
        if made is None and self.on_its_way(operation.key):
            return Unknown(TOO_EARLY)
        return FindVerification.Done(made.result if made else VerificationResult("", "failed", code="not_verified"))

    def _once(self, verify: VerifyCard) -> Authorisation:
        if verify.key not in self.made:
            self.effects[verify.key] += 1
            status = CARDS.get(verify.payment_method, "verified")
            id = f"{'pi' if verify.amount else 'seti'}_v{len(self.made) + 1}"
            made = Authorisation(
                id, verify.order, verify.store, verify.verification, verify.amount, verify.payment_method, status
            )
            made.kept = status == "verified"
            self.made[verify.key] = made
        return self.made[verify.key]

    def _answer(self, made: Authorisation) -> Outcome:
        result = made.result
        if result.status == "failed":
            return VerifyCard.Failed(result.code, result.text, result.reference, result.card, result.reason)
        return VerifyCard.Done(result)

    def _release(self, release: ReleaseVerification) -> Outcome:
        made = next(it for it in self.made.values() if it.id == release.reference)
        if made.status != "failed" and (made.amount or made.status == "requires_action"):
            made.status = "cancelled"
        return ReleaseVerification.Done(made.result)

    def _forget(self, forget: ForgetCard) -> Reply:
        if self.profile.happens(self.profile.level.provider_busy):
            return ForgetCard.Failed("rejected", "not now")
        made = next(it for it in self.made.values() if (it.order, it.number) == (forget.order, forget.verification))
        made.kept = False
        return ForgetCard.Done()

    async def find(self, operation: VerifyCard, key: str) -> Outcome | NotDone | NoOutcome:
        return await self.look_up(key, lambda: self._on_record(operation))

    def _on_record(self, operation: VerifyCard) -> Outcome | None:
        made = self.made.get(operation.key)
        return self._answer(made) if made else None

    def confirm(self, order: str, *, well: bool) -> bool:
        """The customer confirms the card, or fails to. False when there is nothing to confirm any more."""
        waiting = [it for it in self.made.values() if it.order == order and it.status == "requires_action"]
        if not waiting:
            return False
        waiting[-1].status, waiting[-1].kept = ("verified" if well else "failed"), well
        self.history.add("customer", order, f"3-D Secure of {waiting[-1].id}: {waiting[-1].status}")
        if self.profile.happens(self.profile.level.webhook_lost):
            self.history.fault("callback_lost", waiting[-1].id)
        else:
            self._tell(waiting[-1])
        return True

    def _tell(self, made: Authorisation) -> None:
        """As it stands now: it can come late, and more than once."""
        report = VerificationReported(made.number, made.result)
        for _ in range(3 if self.profile.happens(self.profile.level.webhook_repeated) else 1):
            late = self.profile.happens(self.profile.level.webhook_late)
            delay = self.rng.random() * (300.0 if late else 0.3)
            self.callbacks += 1
            task = unowned(lambda delay=delay: self._post(made, report, delay))  # type: ignore[misc]
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _post(self, made: Authorisation, report: VerificationReported, delay: float) -> None:
        """As Stripe: until it is taken."""
        await asyncio.sleep(delay)
        while not await self._deliver(f"evt_{made.id}", made.order, made.store, report):
            await asyncio.sleep(30.0)
        self.callbacks -= 1
