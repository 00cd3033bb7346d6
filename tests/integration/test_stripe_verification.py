"""Cards are verified, kept and charged later against the Stripe sandbox, through the real SDK over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import ChargeCard
from services.payments.domain.verification import (
    FindVerification,
    ForgetCard,
    ReleaseVerification,
    VerificationReported,
    VerificationResult,
    VerifyCard,
)
from services.payments.gateways.stripe.callbacks import callback
from services.payments.gateways.stripe.gateway import StripeGateway
from shared.core import NotDone, NotTried
from tests.integration.stripe_sandbox_rig import Sandbox, receiving, sandbox
from tests.integration.test_stripe_gateway import charge, gateway_to


@pytest_asyncio.fixture
async def stripe_sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with receiving() as receiver, sandbox(tmp_path, receiver) as running:
        yield running


@pytest_asyncio.fixture
async def gateway(stripe_sandbox: Sandbox) -> AsyncIterator[StripeGateway]:
    async with gateway_to(stripe_sandbox.url) as gateway:
        yield gateway


def verify(method: str = "pm_card_visa", amount: int = 100, **changes: object) -> VerifyCard:
    call = VerifyCard(
        provider="stripe",
        order="o-1",
        store="s-1",
        number="ORD-ABCDEFGHIJ",
        verification=1,
        amount=amount,
        currency="USD",
        email="ann@example.com",
        return_url="https://shop.example/orders/o-1",
        since=datetime.now(UTC),
        until=datetime.now(UTC) + timedelta(days=7),
        payment_method=method,
        descriptor="BIKES",
    )
    return replace(call, **changes)  # type: ignore[arg-type]


async def verified(gateway: StripeGateway, call: VerifyCard) -> VerificationResult:
    done = await gateway.perform(call, call.key)
    assert isinstance(done, VerifyCard.Done), done
    return done.result


async def released(gateway: StripeGateway, result: VerificationResult) -> VerificationResult:
    done = await gateway.perform(ReleaseVerification("stripe", "o-1", 1, result.reference), "k")
    assert isinstance(done, ReleaseVerification.Done), done
    return done.result


async def later(gateway: StripeGateway, result: VerificationResult) -> object:
    """The full amount, while the customer is away."""
    call = charge(result.payment_method, customer=result.customer)
    return await gateway.perform(call, call.key)


async def test_an_amount_is_held_released_and_the_card_charged_later(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    result = await verified(gateway, verify())
    assert (result.status, result.held) == ("verified", 100)
    assert result.card
    assert result.card.last4 == "4242"
    assert (await released(gateway, result)).status == "cancelled"
    assert (await released(gateway, result)).held == 0, "once more does no harm"
    paid = await later(gateway, result)
    assert isinstance(paid, ChargeCard.Done)
    assert (paid.result.status, paid.result.amount) == ("succeeded", 1999)
    movements = await stripe_sandbox.client.v1.balance_transactions.list_async()
    assert [movement.amount for movement in movements.data] == [1999], "the verification moved no money"


async def test_a_token_works_and_the_same_call_again_authorises_once(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    call = verify("", token="tok_visa")
    first, second = await verified(gateway, call), await verified(gateway, call)
    assert first.reference == second.reference
    assert len((await stripe_sandbox.client.v1.payment_intents.list_async()).data) == 1
    assert len((await stripe_sandbox.client.v1.customers.list_async()).data) == 1


async def test_a_card_is_set_up_without_an_amount_and_charged_later(gateway: StripeGateway) -> None:
    result = await verified(gateway, verify(amount=0))
    assert result.reference.startswith("seti_")
    assert (result.status, result.held) == ("verified", 0)
    paid = await later(gateway, result)
    assert isinstance(paid, ChargeCard.Done)


@pytest.mark.parametrize("amount", [100, 0])
async def test_a_card_that_is_forgotten_cannot_be_charged_any_more(gateway: StripeGateway, amount: int) -> None:
    result = await verified(gateway, verify(amount=amount))
    for method in (result.payment_method, result.payment_method, "pm_unknown"):
        assert isinstance(await gateway.perform(ForgetCard("stripe", "o-1", 1, method), "k"), ForgetCard.Done)
    assert isinstance(await later(gateway, result), ChargeCard.Failed)


@pytest.mark.parametrize("amount", [100, 0])
async def test_a_declined_card_is_told_why(gateway: StripeGateway, amount: int) -> None:
    call = verify("pm_card_chargeDeclinedExpiredCard", amount)
    failed = await gateway.perform(call, call.key)
    assert isinstance(failed, VerifyCard.Failed)
    assert (failed.code, failed.reason) == ("expired_card", DeclineReason.EXPIRED_CARD)


@pytest.mark.parametrize("amount", [100, 0])
async def test_a_card_to_be_confirmed_has_a_page_and_can_be_cancelled(gateway: StripeGateway, amount: int) -> None:
    result = await verified(gateway, verify("pm_card_threeDSecure2Required", amount))
    assert result.status == "requires_action"
    assert result.url.startswith("http")
    assert (await released(gateway, result)).status == "cancelled"


@pytest.mark.parametrize("amount", [100, 0])
async def test_the_same_call_again_says_how_it_is_now(gateway: StripeGateway, amount: int) -> None:
    call = verify("pm_card_threeDSecure2Required", amount)
    result = await verified(gateway, call)
    await released(gateway, result)
    assert (await verified(gateway, call)).status == "cancelled", "Stripe itself repeats its first answer"


async def test_a_card_that_must_be_confirmed_each_time_is_declined_while_the_customer_is_away(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    result = await verified(gateway, verify("pm_card_authenticationRequired"))
    async with stripe_sandbox.http.post(f"{result.url}/complete", allow_redirects=False) as answer:
        assert answer.status < 400, await answer.text()
    find = FindVerification("stripe", "o-1", 1, 100, result.reference, datetime.now(UTC))
    found = await gateway.perform(find, "k")
    assert isinstance(found, FindVerification.Done)
    assert (found.result.status, found.result.held) == ("verified", 100)
    declined = await later(gateway, found.result)
    assert isinstance(declined, ChargeCard.Failed)
    assert (declined.code, declined.reason) == ("authentication_required", DeclineReason.NOT_CONFIRMED)


@pytest.mark.parametrize("amount", [100, 0])
async def test_a_lost_answer_is_found_by_our_key(gateway: StripeGateway, amount: int) -> None:
    call = verify(amount=amount)
    assert await gateway.find(call, call.key) == NotDone()
    result = await verified(gateway, call)
    found = await gateway.find(call, call.key)
    assert isinstance(found, VerifyCard.Done)
    assert found.result == result
    assert await gateway.find(verify(amount=amount, verification=2), "k") == NotDone()
    by_key = await gateway.perform(FindVerification("stripe", "o-1", 1, amount, "", call.since), "k")
    assert isinstance(by_key, FindVerification.Done)
    assert by_key.result.reference == result.reference


async def test_nothing_is_verified_after_its_time(gateway: StripeGateway) -> None:
    late = verify(until=datetime.now(UTC) - timedelta(minutes=1))
    assert isinstance(await gateway.perform(late, late.key), NotTried)


async def test_stripes_events_about_it_are_reports_of_the_verification_and_of_no_charge(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    await released(gateway, await verified(gateway, verify()))
    await verified(gateway, verify(amount=0, verification=2))
    await stripe_sandbox.settled()
    found = [callback(event.to_dict()) for event in stripe_sandbox.receiver.events]
    reports = [one.report for one in found if one]
    assert all(isinstance(report, VerificationReported) for report in reports)
    told = {
        (report.verification, report.result.status) for report in reports if isinstance(report, VerificationReported)
    }
    assert told == {(1, "verified"), (1, "cancelled"), (2, "verified")}
