"""Staff settle a refund as made under a reference: whether the provider has that one is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from services.payments.domain.operations import FindRefund, RefundProgress, RefundResult
from services.payments.domain.payment import RefundStatus
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.objects import Json
from services.payments.gateways.stripe.settings import StripeSettings
from shared.contracts.payments import PaymentRefundFailed, PaymentSettlementContradicted
from tests.unit.payments.examples import PaymentScenario
from tests.unit.payments.test_settlement import report_refund, settle_refund, unresolved_refund

NO_SUCH = FindRefund.Failed("not_refunded", "Stripe has no refund re_typo of pi_1.")


def settled(reference: str = "re_9") -> PaymentScenario:
    return settle_refund(unresolved_refund(), "refunded", reference=reference)


def test_the_provider_is_asked_for_the_reference_that_staff_named() -> None:
    assert [(find.charge, find.reference) for find in settled().last.of(FindRefund)] == [("pi_1", "re_9")]
    not_made = settle_refund(unresolved_refund(), "not_refunded")
    assert [find.reference for find in not_made.last.of(FindRefund)] == [""]


def test_a_reference_that_cannot_be_found_is_published() -> None:
    payment = settled("re_typo").answer(FindRefund, NO_SUCH)
    (contradicted,) = payment.published
    assert isinstance(contradicted, PaymentSettlementContradicted)
    assert contradicted.refund == payment.state.refunds[0].id
    assert contradicted.text == (
        "Settled as done by staff:anna, but the provider cannot find re_typo: Stripe has no refund re_typo of pi_1."
    )


def test_one_that_is_found_confirms_the_settlement() -> None:
    payment = settled().answer(FindRefund, FindRefund.Done(RefundResult("re_9", charge="pi_1", amount=5000)))
    assert (payment.published, payment.state.refunds[0].settled_by) == ([], "")


@pytest.mark.parametrize(
    ("status", "types", "ends"),
    [
        ("succeeded", [PaymentSettlementContradicted], RefundStatus.DONE),
        ("failed", [PaymentSettlementContradicted, PaymentRefundFailed], RefundStatus.FAILED),
    ],
)
def test_ours_that_is_found_in_its_place_corrects_it(
    status: RefundProgress, types: list[type], ends: RefundStatus
) -> None:
    payment = settled("re_typo").answer(FindRefund, FindRefund.Done(RefundResult("re_1", status)))
    assert payment.types() == types
    assert (payment.state.refunds[0].reference, payment.state.refunds[0].status) == ("re_1", ends)


def test_an_older_worker_that_asks_for_our_id_only_contradicts_nothing() -> None:
    payment = settled().answer(FindRefund, FindRefund.Done(RefundResult("", "failed", "not_refunded")))
    assert (payment.published, payment.state.refunds[0].status) == ([], RefundStatus.DONE)


def test_what_was_corrected_before_the_answer_is_not_contradicted_again() -> None:
    payment = settled("re_typo")
    check = payment.operation(FindRefund)
    report_refund(payment, "succeeded").answer(check, NO_SUCH)
    assert payment.published == []


class Listed(StripeGateway):
    """Stripe's list of a charge's refunds, newest first."""

    def __init__(self, *refunds: tuple[str, str, str]) -> None:
        super().__init__(StripeSettings(api_key=SecretStr("sk_test_1"), webhook_secret=SecretStr("whsec_1")))
        self.refunds = [
            {"id": id, "status": status, "metadata": {"refund": whose} if whose else None}
            for id, whose, status in refunds
        ]

    async def every(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[Json]:
        assert (path, params) == ("/v1/refunds", {"payment_intent": "pi_1"})
        for refund in self.refunds:
            yield refund


OURS, BY_HAND, OF_ANOTHER = ("re_1", "r-1", "succeeded"), ("re_9", "", "succeeded"), ("re_9", "r-2", "succeeded")
OURS_FAILED, BY_HAND_FAILED = ("re_1", "r-1", "failed"), ("re_9", "", "failed")


@pytest.mark.parametrize(
    ("refunds", "named", "found"),
    [
        ([], "", ("", "failed")),
        ([BY_HAND], "", ("", "failed")),
        ([OURS, BY_HAND], "", ("re_1", "succeeded")),
        ([], "re_9", None),
        ([("re_2", "", "succeeded")], "re_9", None),
        ([OF_ANOTHER], "re_9", None),
        ([OF_ANOTHER, OURS], "re_9", ("re_1", "succeeded")),
        ([BY_HAND], "re_9", ("re_9", "succeeded")),
        ([BY_HAND_FAILED], "re_9", ("re_9", "failed")),
        ([BY_HAND, OURS], "re_9", ("re_1", "succeeded")),
        ([OURS, BY_HAND], "re_1", ("re_1", "succeeded")),
        ([BY_HAND, OURS_FAILED], "re_9", ("re_9", "succeeded")),
        ([OURS_FAILED, BY_HAND], "re_9", ("re_9", "succeeded")),
        ([OURS_FAILED], "re_9", ("re_1", "failed")),
    ],
)
async def test_stripe_finds_ours_or_else_the_one_that_staff_named(
    refunds: list[tuple[str, str, str]], named: str, found: tuple[str, str] | None
) -> None:
    answer = await Listed(*refunds).perform(FindRefund("stripe", "o-1", "r-1", "pi_1", reference=named), "")
    if found is None:
        assert isinstance(answer, FindRefund.Failed)
        assert "re_9 of pi_1" in answer.text
    else:
        assert isinstance(answer, FindRefund.Done)
        assert (answer.result.reference, answer.result.status) == found
