"""Mutants about whose money it is, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from services.payments.domain import charge_result, refund_report, refund_result
from services.payments.domain.operations import ChargeResult, RefundResult
from services.payments.domain.payment import Payment, Refund
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("a charge is matched by its metadata alone")
def matched_by_metadata() -> Iterator[None]:
    def is_ours(payment: Payment, order: str, number: int, result: ChargeResult) -> bool:
        return payment.attempt(number) is not None

    with instead(charge_result, "is_ours", is_ours):
        yield


@mutant("a refund made in the dashboard is ignored")
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
