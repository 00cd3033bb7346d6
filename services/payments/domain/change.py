"""A payment as one message changes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.payments.domain.ledger import (
    PAID_ELSEWHERE,
    PROVIDER_BALANCE,
    AttemptRecord,
    Kind,
    LedgerMovement,
    RefundRecord,
    entries,
)
from services.payments.domain.operations import ChargeCheckDue, FindCharge, FindRefund, RefundCheckDue, charge_key
from services.payments.domain.payment import AttemptStatus, ChargeAttempt, Payment, Refund
from services.payments.domain.person import without_person
from services.payments.domain.status_record import is_told, status_record
from services.payments.domain.verification import ForgetCard, Verification
from shared.contracts.payments import PaymentCaptured
from shared.core import Change, Decision, TimerMessage
from shared.core.fast_dataclasses import replace
from shared.core.waits import growing_wait

FIRST_CHECK = timedelta(minutes=10)
"""After an outcome stayed unknown; doubled each time."""
LONGEST_WAIT = timedelta(days=1)
FIRST_CONFIRMATION_CHECK, LONGEST_CONFIRMATION_WAIT = timedelta(minutes=1), timedelta(hours=1)
"""While the customer confirms the payment: doubled each time, too."""


class PaymentChange(Change[Payment]):
    """Keeps the history of attempts and refunds, and the ledger. A change that is told has the status record as its
    last event."""

    def decision(self) -> Decision[Payment]:
        self._forget_cards()
        if self.changed and self.state.erased_at:
            self.state = without_person(self.state)
        if self.changed and is_told(self.state):
            self.set(revision=self.context.revised(self.state.revision), updated_at=self.context.at)
            self.publish(status_record(self.state))
        return super().decision()

    def _forget_cards(self) -> None:
        for card in cards_to_forget(self.state):
            self.request(ForgetCard(card.provider, self.context.key, card.number, card.payment_method))
            asked = replace(card, forgetting=True)
            self.set(verifications=tuple(asked if it.number == card.number else it for it in self.state.verifications))

    def update_attempt(self, attempt: ChargeAttempt, **changes: Any) -> ChargeAttempt:
        """Keep an attempt as changed; a change of its status becomes history."""
        before = self.state.attempt(attempt.number)
        after = replace(attempt, **changes)
        if after == before:
            return after
        self.state = self.state.with_attempt(after)
        if before is None or before.status is not after.status:
            self.record(self._attempt_record(after))
        if before and before.needs_check and not after.needs_check:
            self.cancel_timer(_charge_check(after.number))
        return after

    def update_refund(self, refund: Refund, **changes: Any) -> Refund:
        """Keep a refund as changed; a change of its status becomes history."""
        before = self.state.refund(refund.id)
        after = replace(refund, **changes)
        self.state = self.state.with_refund(after)
        if before is None or before.status is not after.status:
            self.record(self._refund_record(after))
        return after

    def enter_movement(self, kind: Kind, amount: int, reference: str, attempt: int, *, elsewhere: bool = False) -> None:
        """Enter a movement of money into the ledger: of the attempt with this number, or of a refund of it.
        `elsewhere`: not by the provider."""
        payment = self.state
        paid_by = payment.attempt(attempt)
        provider = payment.provider_of(paid_by)
        account = PAID_ELSEWHERE if elsewhere or payment.is_by_hand(paid_by) else PROVIDER_BALANCE
        movement = LedgerMovement(kind, amount, payment.currency, provider, reference, payment.store, account)
        self.record(*entries(movement, self.context.key, self.context.at, self.context.new_id))

    def publish_captured(self, attempt: ChargeAttempt) -> None:
        """Of the attempt that paid the order."""
        self.publish(
            PaymentCaptured(
                attempt=attempt.number,
                amount=attempt.captured,
                currency=self.state.currency,
                provider=self.state.provider_of(attempt),
                method=attempt.method or None,
                transaction=attempt.reference,
                card=attempt.card,
                captured_at=self.context.at,
            )
        )

    def check_charge(self, attempt: ChargeAttempt, reference: str, tries: int = 1) -> None:
        """Check with the provider by its reference, or, where that is empty, by order and attempt."""
        payment, order = self.state, self.context.key
        self.request(
            FindCharge(
                provider=payment.provider_of(attempt),
                order=order,
                attempt=attempt.number,
                reference=reference,
                since=attempt.at,
                tries=tries,
                amount=attempt.amount,
                currency=payment.currency,
                store=payment.store,
                key=charge_key(order, attempt.number) if attempt.provider else "",
            )
        )

    def check_charge_later(self, attempt: int, tries: int) -> None:
        now = self.state.attempt(attempt)
        confirming = now is not None and now.status is AttemptStatus.ACTION_REQUIRED
        first, longest = (
            (FIRST_CONFIRMATION_CHECK, LONGEST_CONFIRMATION_WAIT) if confirming else (FIRST_CHECK, LONGEST_WAIT)
        )
        self._check_later(ChargeCheckDue(attempt, tries), _charge_check(attempt), growing_wait(first, longest, tries))

    def check_refund(self, refund: Refund, tries: int = 1, reference: str = "") -> None:
        """Check with the provider by our id, and by the reference that staff named."""
        attempt = self.state.attempt(refund.attempt)
        if attempt is not None:
            provider, charge = self.state.provider_of(attempt), attempt.reference
            self.request(FindRefund(provider, self.context.key, refund.id, charge, tries, reference))

    def check_refund_later(self, refund: Refund, tries: int) -> None:
        wait = growing_wait(FIRST_CHECK, LONGEST_WAIT, tries)
        self._check_later(RefundCheckDue(refund.id, tries), f"check_refund_{refund.id}", wait)

    def _check_later(self, message: TimerMessage, name: str, wait: timedelta) -> None:
        self.timer(self.context.at + wait, message, name)

    def _attempt_record(self, attempt: ChargeAttempt) -> AttemptRecord:
        return AttemptRecord(
            key=self.context.key,
            id=self.context.new_id(),
            attempt=attempt.number,
            status=attempt.status.value,
            amount=attempt.amount,
            currency=self.state.currency,
            provider=self.state.provider_of(attempt),
            reference=attempt.reference,
            card_brand=attempt.card.brand if attempt.card else "",
            card_last4=attempt.card.last4 if attempt.card else "",
            code=attempt.code,
            text=attempt.text,
            at=self.context.at,
        )

    def _refund_record(self, refund: Refund) -> RefundRecord:
        return RefundRecord(
            key=self.context.key,
            id=self.context.new_id(),
            refund=refund.id,
            attempt=refund.attempt,
            status=refund.status.value,
            amount=refund.amount,
            currency=self.state.currency,
            provider=self.state.provider_of(self.state.attempt(refund.attempt)),
            reference=refund.reference,
            reason=refund.reason,
            note=refund.note,
            actor=self.context.actor,
            code=refund.code,
            text=refund.text,
            at=self.context.at,
        )


def cards_to_forget(payment: Payment) -> tuple[Verification, ...]:
    """Of those kept for one charge: that charge has ended, or is not made any more."""
    if payment.open_attempt or payment.waiting or not (payment.closed_as or payment.attempts):
        return ()
    return tuple(it for it in payment.verifications if it.payment_method and not it.forgetting)


def _charge_check(attempt: int) -> str:
    """The name of its timer."""
    return f"check_charge_{attempt}"
