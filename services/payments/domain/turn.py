"""One turn: the payment as it changes while a message is answered, and everything that goes out with the answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.payments.domain.ledger import AttemptRecord, Kind, Movement, RefundRecord, entries
from services.payments.domain.payment import ChargeAttempt, Payment, Refund
from shared.core import Context, Decision, Event, Operation, Record, Timer, TimerMessage
from shared.core.fast_dataclasses import replace

LOOK_AGAIN = timedelta(minutes=10)
"""After an outcome stayed unknown; doubled each time."""
LONGEST_LOOK = timedelta(days=1)


class Turn:
    """Gathers what a message brings about. `decision()` hands it over."""

    def __init__(self, payment: Payment, context: Context) -> None:
        self.payment = payment
        self.context = context
        self._events: list[Event] = []
        self._operations: list[Operation] = []
        self._records: list[Record] = []
        self._timers: list[Timer] = []

    def decision(self) -> Decision[Payment]:
        return Decision(
            self.payment,
            events=self._events,
            operations=self._operations,
            records=self._records,
            timers=self._timers,
        )

    @property
    def looks_later(self) -> bool:
        return bool(self._timers)

    def tell(self, event: Event) -> None:
        self._events.append(event)

    def want(self, operation: Operation) -> None:
        self._operations.append(operation)

    def look_later(self, message: TimerMessage, name: str, tries: int) -> None:
        """Ask the provider again after a while, until its outcome is known or a person settled it."""
        wait = min(LOOK_AGAIN * 2 ** min(tries - 1, 16), LONGEST_LOOK)
        self._timers.append(Timer(self.context.at + wait, message, name))

    def change(self, **changes: Any) -> None:
        self.payment = replace(self.payment, **changes)

    def put_attempt(self, attempt: ChargeAttempt, **changes: Any) -> ChargeAttempt:
        """Keep an attempt as changed; a change of its status becomes history."""
        before = self.payment.attempt(attempt.number)
        after = replace(attempt, **changes)
        self.payment = self.payment.with_attempt(after)
        if before is None or before.status is not after.status:
            self._records.append(self._attempt_record(after))
        return after

    def put_refund(self, refund: Refund, **changes: Any) -> Refund:
        """Keep a refund as changed; a change of its status becomes history."""
        before = self.payment.refund(refund.id)
        after = replace(refund, **changes)
        self.payment = self.payment.with_refund(after)
        if before is None or before.status is not after.status:
            self._records.append(self._refund_record(after))
        return after

    def move(self, kind: Kind, amount: int, reference: str) -> None:
        """Enter a movement of money into the ledger."""
        payment = self.payment
        movement = Movement(kind, amount, payment.currency, payment.provider, reference, payment.store)
        self._records += entries(movement, self.context.key, self.context.at, self.context.new_id)

    def _attempt_record(self, attempt: ChargeAttempt) -> AttemptRecord:
        return AttemptRecord(
            key=self.context.key,
            id=self.context.new_id(),
            attempt=attempt.number,
            status=attempt.status.value,
            amount=attempt.amount,
            currency=self.payment.currency,
            provider=self.payment.provider,
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
            currency=self.payment.currency,
            provider=self.payment.provider,
            reference=refund.reference,
            reason=refund.reason,
            note=refund.note,
            actor=self.context.actor,
            code=refund.code,
            text=refund.text,
            at=self.context.at,
        )
