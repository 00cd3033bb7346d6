"""Mutants about whose money it is, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.payments.domain import charge_result, refund, refund_made, refund_report, refund_result
from services.payments.domain.change import PaymentChange
from services.payments.domain.operations import CancelCharge, ChargeResult, RefundResult
from services.payments.domain.payment import ChargeAttempt, Payment, Refund
from services.payments.gateways.stripe import objects
from shared.contracts.payments import RefundPayment
from shared.core import Context, Decision
from shared.core.fast_dataclasses import replace
from tests.simulation.mutants.catalogue import handlers_around, instead, mutant


@mutant("a charge is matched by its metadata alone", slow=True)
def matched_by_metadata() -> Iterator[None]:
    def is_ours(payment: Payment, order: str, number: int, result: ChargeResult) -> bool:
        return payment.attempt(number) is not None

    with instead(charge_result, "is_ours", is_ours):
        yield


@mutant("a refund made in the dashboard is ignored", slow=True)
def dashboard_refund_ignored() -> Iterator[None]:
    def made_at_provider(*_: Any, **__: Any) -> None:
        return None

    with instead(refund_report, "made_at_provider", made_at_provider):
        yield


@mutant("a refund that the bank sent back stays counted")
def returned_refund_counted() -> Iterator[None]:
    def is_known(refund: Refund, result: RefundResult) -> bool:
        return bool(refund.reference)

    with instead(refund_result, "_is_known", is_known):
        yield


@mutant("a refund is of the attempt that paid the order, whichever was named", seeds=range(17, 10_000))
def only_paid_attempt() -> Iterator[None]:
    def attempt_to_refund(payment: Payment | None, command: RefundPayment) -> ChargeAttempt | None:
        return payment.paying_attempt if payment else None

    with instead(refund, "attempt_to_refund", attempt_to_refund):
        yield


@mutant("a surplus is refunded of the charge that paid the order", slow=True)
def surplus_of_paid() -> Iterator[None]:
    real = refund._refund

    def of_paid(change: PaymentChange, attempt: ChargeAttempt, *more: Any) -> None:
        real(change, change.state.paying_attempt or attempt, *more)

    with instead(refund, "_refund", of_paid):
        yield


@mutant("what is owed is given up after the first refusal", level="storm", seeds=range(10_000))
def owed_given_up() -> Iterator[None]:
    def try_again_later(change: PaymentChange, refused: Refund) -> None:
        return None

    with instead(refund_made, "try_again_later", try_again_later):
        yield


@mutant("the provider's units are not converted on the way back", slow=True)
def never_converted_back() -> Iterator[None]:
    """Each reading of a charge or a refund; in ISK and UGX it matters."""

    def from_stripe(amount: int, currency: str) -> int:
        return amount

    with instead(objects, "from_stripe", from_stripe):
        yield


@mutant("a charge that was captured before it was cancelled is taken for cancelled", slow=True)
def cancelled_anyway() -> Iterator[None]:
    def wrap(function: Any) -> Any:
        def cancelled(
            payment: Payment, cancel: CancelCharge, outcome: CancelCharge.Done, context: Context
        ) -> Decision[Payment]:
            result = replace(outcome.result, status="cancelled", amount=0)
            decision: Decision[Payment] = function(payment, cancel, CancelCharge.Done(result), context)
            return decision

        return cancelled

    with handlers_around([CancelCharge.Done], wrap):
        yield
