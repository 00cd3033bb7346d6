"""The gateway and the callbacks against the Stripe sandbox, through the real SDK over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import SecretStr

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeReported,
    ChargeResult,
    FindCharge,
    FindRefund,
    RefundCharge,
    RefundReported,
    RefundResult,
)
from services.payments.gateways.limits import CircuitBreaker
from services.payments.gateways.provider import ProviderMovement
from services.payments.gateways.stripe.callbacks import callback
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.records import stripe_movements
from services.payments.gateways.stripe.settings import StripeSettings
from services.payments.reconciliation import compare
from shared.core import NotDone, NotTried, OperatorFault, Retry, Unknown
from shared.core.ids import RANDOM_BITS, random_id
from tests.integration.stripe_sandbox_rig import KEY, Sandbox, receiving, sandbox

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def stripe_sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with receiving() as receiver, sandbox(tmp_path, receiver) as running:
        yield running


@contextlib.asynccontextmanager
async def gateway_to(
    url: str, key: str = KEY, breaker: CircuitBreaker | None = None, now: Callable[[], float] = time.time
) -> AsyncIterator[StripeGateway]:
    settings = StripeSettings(
        api_key=SecretStr(key), webhook_secret=SecretStr("whsec_1"), api_base=url, requests_per_second=500, timeout=5
    )
    gateway = StripeGateway(settings, breaker=breaker, now=now)
    yield gateway
    await gateway.close()


@pytest_asyncio.fixture
async def gateway(stripe_sandbox: Sandbox) -> AsyncIterator[StripeGateway]:
    async with gateway_to(stripe_sandbox.url) as gateway:
        yield gateway


def charge(method: str = "pm_card_visa", **changes: object) -> ChargeCard:
    request = ChargeCard(
        provider="stripe",
        order="o-1",
        store="s-1",
        number="ORD-ABCDEFGHIJ",
        attempt=1,
        amount=1999,
        currency="USD",
        return_url="https://shop.example/orders/o-1",
        payment_method=method,
        since=datetime.now(UTC),
    )
    return replace(request, **changes)  # type: ignore[arg-type]


def key_of(age: float = 0.0) -> str:
    """An operation's id: a UUIDv7 made `age` seconds ago."""
    return str(random_id(int((time.time() - age) * 1000), secrets.randbits(RANDOM_BITS)))


async def paid(gateway: StripeGateway, request: ChargeCard | None = None) -> ChargeResult:
    done = await gateway.perform(request or charge(), key_of())
    assert isinstance(done, ChargeCard.Done)
    return done.result


def refund_of(paid: ChargeResult, amount: int = 1999) -> RefundCharge:
    return RefundCharge("stripe", "o-1", "s-1", "r-1", paid.reference, amount, "USD", "requested_by_customer")


async def test_a_good_card_pays(gateway: StripeGateway) -> None:
    done = await paid(gateway, charge(descriptor="Blocks & <Co>"))
    assert (done.status, done.amount) == ("succeeded", 1999)
    assert done.card is not None
    assert (done.card.brand, done.card.last4) == ("visa", "4242")


async def test_a_token_pays(gateway: StripeGateway) -> None:
    done = await paid(gateway, charge("", token="tok_mastercard"))
    assert done.card is not None
    assert done.card.brand == "mastercard"


@pytest.mark.parametrize(
    ("card", "code", "reason"),
    [
        ("pm_card_chargeDeclined", "generic_decline", DeclineReason.CARD_DECLINED),
        ("pm_card_visa_chargeDeclinedStolenCard", "stolen_card", DeclineReason.CARD_DECLINED),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds", DeclineReason.INSUFFICIENT_FUNDS),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", DeclineReason.EXPIRED_CARD),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", DeclineReason.TRY_AGAIN),
    ],
)
async def test_a_declined_card_says_why(gateway: StripeGateway, card: str, code: str, reason: DeclineReason) -> None:
    failed = await gateway.perform(charge(card), key_of())
    assert isinstance(failed, ChargeCard.Failed)
    assert (failed.code, failed.reason) == (code, reason)
    assert failed.reference.startswith("pi_")
    assert failed.card is not None
    assert failed.text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payment_method": "pm_unknown"}, DeclineReason.METHOD_UNUSABLE),
        ({"payment_method": "", "token": "tok_unknown"}, DeclineReason.METHOD_UNUSABLE),
        ({"payment_method": ""}, DeclineReason.METHOD_UNUSABLE),
        ({"currency": "XAU"}, DeclineReason.NOT_CHARGEABLE),
        ({"amount": 1}, DeclineReason.NOT_CHARGEABLE),
    ],
)
async def test_what_cannot_be_charged_of_one_order_is_a_decline_of_this_order_alone(
    gateway: StripeGateway, changes: dict[str, Any], reason: DeclineReason
) -> None:
    failed = await gateway.perform(charge(**changes), key_of())
    assert isinstance(failed, ChargeCard.Failed)
    assert failed.reason is reason


@pytest.mark.parametrize(
    ("fault", "fix"), [("expired_key", "ORDERBUS_STRIPE__API_KEY"), ("forbidden", "Stripe's dashboard")]
)
async def test_a_faulty_api_key_declines_no_order(
    gateway: StripeGateway, stripe_sandbox: Sandbox, fault: str, fix: str
) -> None:
    done = await paid(gateway)
    await stripe_sandbox.control("POST", "faults", kind=fault, count=None)
    for operation in (
        charge(attempt=2),
        refund_of(done),
        CancelCharge("stripe", "o-1", 1, done.reference),
        FindCharge("stripe", "o-1", 1, "", EARLIER),
        FindRefund("stripe", "o-1", "r-1", done.reference),
    ):
        answer = await gateway.perform(operation, key_of())
        assert isinstance(answer, OperatorFault), operation
        assert fix in answer.text
        assert KEY[-4:] not in answer.text
    assert isinstance(await gateway.find(charge(), key_of()), OperatorFault)
    await stripe_sandbox.control("DELETE", "faults")
    await paid(gateway, charge(attempt=2))


async def test_a_wrong_key_and_a_wrong_address_are_the_operators(stripe_sandbox: Sandbox) -> None:
    async with gateway_to(stripe_sandbox.url, key="wrong") as misconfigured:
        assert isinstance(await misconfigured.perform(charge(), key_of()), OperatorFault)
    async with gateway_to(f"{stripe_sandbox.url}/v1") as misled:
        assert isinstance(await misled.perform(charge(), key_of()), OperatorFault)
    async with gateway_to(stripe_sandbox.receiver.url) as elsewhere:
        answer = await elsewhere.perform(charge(), key_of())
        assert isinstance(answer, OperatorFault)
        assert "ORDERBUS_STRIPE__API_BASE" in answer.text


async def test_3ds_hands_over_to_the_customer_and_can_be_cancelled(gateway: StripeGateway) -> None:
    done = await paid(gateway, charge("pm_card_threeDSecureRequired"))
    assert done.status == "requires_action"
    assert done.url.startswith("http")
    cancel = CancelCharge("stripe", "o-1", 1, done.reference)
    for _ in range(2):
        answer = await gateway.perform(cancel, key_of())
        assert isinstance(answer, CancelCharge.Done)
        assert (answer.result.reference, answer.result.status) == (done.reference, "cancelled")


async def test_a_paid_charge_cannot_be_cancelled(gateway: StripeGateway) -> None:
    done = await paid(gateway)
    answer = await gateway.perform(CancelCharge("stripe", "o-1", 1, done.reference), key_of())
    assert answer == CancelCharge.Done(done)


async def test_the_same_key_charges_once(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    key = key_of()
    assert await gateway.perform(charge(), key) == await gateway.perform(charge(), key)
    assert len((await stripe_sandbox.control("GET", "books"))["payment_intents"]) == 1


@pytest.mark.parametrize("fault", ["close_before", "close_after", "error", "error_after"])
@pytest.mark.parametrize("saved", [False, True])
async def test_a_lost_answer_is_unknown_and_a_retry_charges_once(
    gateway: StripeGateway, stripe_sandbox: Sandbox, fault: str, saved: bool
) -> None:
    request, key = charge(), key_of()
    await stripe_sandbox.control("POST", "faults", kind=fault, saved=saved)
    assert isinstance(await gateway.perform(request, key), Unknown)
    found = await gateway.find(request, key)
    done = await gateway.perform(request, key)
    assert isinstance(done, ChargeCard.Done)
    assert done.result.status == "succeeded"
    assert found == (done if fault.endswith("_after") else NotDone())
    books = await stripe_sandbox.control("GET", "books")
    assert [intent["id"] for intent in books["payment_intents"]] == [done.result.reference]


async def test_a_lost_answer_older_than_stripes_memory_is_looked_up(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    """Also where no answer is recorded at all: a restored database decides the same charge again."""
    request = charge(since=datetime.now(UTC))
    done = await paid(gateway, request)
    await stripe_sandbox.control("POST", "clock", advance_seconds=25 * 3600)
    async with gateway_to(stripe_sandbox.url, now=lambda: time.time() + 25 * 3600) as tomorrow:
        assert await tomorrow.find(request, request.idempotency_key(uuid4())) == ChargeCard.Done(done)
        assert await tomorrow.perform(request, request.idempotency_key(uuid4())) == ChargeCard.Done(done)
        assert await tomorrow.find(charge(order="o-2"), key_of()) == NotDone()
        refund = replace(refund_of(done), refund=key_of())
        first = await tomorrow.perform(refund, refund.idempotency_key(uuid4()))
        await stripe_sandbox.control("POST", "clock", advance_seconds=25 * 3600)
        assert isinstance(first, RefundCharge.Done)
    async with gateway_to(stripe_sandbox.url, now=lambda: time.time() + 50 * 3600) as later:
        assert await later.perform(refund, refund.idempotency_key(uuid4())) == first
    assert sorted(movement.amount for movement in [one async for one in stripe_movements(gateway)]) == [-1999, 1999]


async def test_nothing_is_charged_after_the_orders_time(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    over = charge(until=datetime.now(UTC) - timedelta(seconds=1))
    assert isinstance(await gateway.perform(over, "k"), NotTried)
    assert (await stripe_sandbox.control("GET", "books"))["payment_intents"] == []
    done = await paid(gateway, charge())
    assert await gateway.perform(over, "k") == ChargeCard.Done(done)
    await stripe_sandbox.control("POST", "faults", kind="error", match={"method": "GET"})
    assert isinstance(await gateway.perform(over, "k"), NotTried), "no call was made that could be in doubt"


async def test_a_key_that_was_used_otherwise_leads_to_what_was_done_under_it(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    key = charge().idempotency_key(uuid4())
    done = await gateway.perform(charge(), key)
    assert await gateway.perform(charge("pm_card_mastercard"), key) == done
    declined = await gateway.perform(charge("pm_card_chargeDeclined", attempt=2), "k-2")
    assert isinstance(declined, ChargeCard.Failed)
    again = await gateway.perform(charge(attempt=2), "k-2")
    assert isinstance(again, ChargeCard.Failed)
    assert again.reference == declined.reference
    assert len((await stripe_sandbox.control("GET", "books"))["payment_intents"]) == 2


async def test_a_call_under_a_key_that_is_still_running_is_in_doubt(
    gateway: StripeGateway, stripe_sandbox: Sandbox
) -> None:
    await stripe_sandbox.control("POST", "faults", kind="delay", milliseconds=500)
    first = asyncio.create_task(gateway.perform(charge(), "k-1"))
    await asyncio.sleep(0.2)
    assert isinstance(await gateway.perform(charge(), "k-1"), Unknown)
    assert isinstance(await first, ChargeCard.Done)


async def test_a_refund_that_staff_can_make_possible_is_retried(gateway: StripeGateway) -> None:
    answer = await gateway.perform(replace(refund_of(await paid(gateway)), charge="pi_of_another_account"), "k")
    assert isinstance(answer, Retry)
    assert answer.after == 3600


async def test_too_many_requests_wait_as_long_as_stripe_says(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    await stripe_sandbox.control("POST", "faults", kind="rate_limit", retry_after=3)
    answer = await gateway.perform(charge(), key_of())
    assert isinstance(answer, Retry)
    assert answer.after == 3


async def test_an_unreachable_stripe_has_certainly_not_charged() -> None:
    async with gateway_to("http://127.0.0.1:9") as gateway:
        assert isinstance(await gateway.perform(charge(), key_of()), Retry)


async def test_a_stripe_that_is_down_is_left_alone_for_a_while(stripe_sandbox: Sandbox) -> None:
    now = [0.0]
    breaker = CircuitBreaker(threshold=2, pause=10, clock=lambda: now[0])
    await stripe_sandbox.control("POST", "faults", kind="error", count=2)
    async with gateway_to(stripe_sandbox.url, breaker=breaker) as gateway:
        for _ in range(2):
            assert isinstance(await gateway.perform(charge(), key_of()), Unknown)
        paused = await gateway.perform(charge(), key_of())
        assert isinstance(paused, NotTried)
        assert paused.after == 10
        now[0] = 11
        await paid(gateway)


async def test_refunds_in_parts_and_no_more_than_the_whole(gateway: StripeGateway) -> None:
    done = await paid(gateway)
    first = await gateway.perform(refund_of(done, 999), key_of())
    assert isinstance(first, RefundCharge.Done)
    assert first.result.status == "succeeded"
    second = await gateway.perform(replace(refund_of(done, 1001), refund="r-2"), key_of())
    assert isinstance(second, RefundCharge.Failed)
    assert await gateway.find(refund_of(done, 999), key_of()) == first
    assert await gateway.find(replace(refund_of(done), refund="r-3"), key_of()) == NotDone()


@pytest.mark.parametrize("fault", ["close_after", "error_after", "error"])
async def test_a_refund_of_unknown_outcome_is_made_once(
    gateway: StripeGateway, stripe_sandbox: Sandbox, fault: str
) -> None:
    request, key = refund_of(await paid(gateway)), key_of()
    await stripe_sandbox.control("POST", "faults", kind=fault, match={"path": "/v1/refunds"}, saved=True)
    assert isinstance(await gateway.perform(request, key), Unknown)
    found = await gateway.find(request, key)
    again = await gateway.perform(request, key) if isinstance(found, NotDone) else found
    assert isinstance(again, RefundCharge.Done)
    (made,) = [movement for movement in [one async for one in stripe_movements(gateway)] if movement.amount < 0]
    assert (made.reference, made.amount, made.refund) == (again.result.reference, -1999, "r-1")


async def test_checking_an_unknown_charge_and_refund(gateway: StripeGateway) -> None:
    done = await paid(gateway)
    found = await gateway.perform(FindCharge("stripe", "o-1", 1, "", EARLIER), key_of())
    assert found == FindCharge.Done(done)
    missing = await gateway.perform(FindCharge("stripe", "o-1", 2, "", EARLIER), key_of())
    assert isinstance(missing, FindCharge.Done)
    assert (missing.result.reference, missing.result.status, missing.result.code) == ("", "failed", "not_charged")
    refund = await gateway.perform(FindRefund("stripe", "o-1", "r-1", done.reference), key_of())
    assert refund == FindRefund.Done(RefundResult("", "failed", "not_refunded"))


async def test_callbacks_report_what_the_answers_said(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    done = await paid(gateway)
    declined = await gateway.perform(charge("pm_card_chargeDeclined", attempt=2), key_of())
    assert isinstance(declined, ChargeCard.Failed)
    refund = await gateway.perform(refund_of(done), key_of())
    assert isinstance(refund, RefundCharge.Done)
    await stripe_sandbox.pay(metadata={})
    await stripe_sandbox.settled()
    callbacks = [found for event in stripe_sandbox.receiver.events if (found := callback(event.to_dict()))]
    reports = [found.report for found in callbacks]
    assert {(found.order, found.store) for found in callbacks} == {("o-1", "s-1"), ("", "")}, "or by its reference"
    whose: dict[str, Any] = {"requested": 1999, "currency": "USD", "store": "s-1"}
    paid_by = ChargeResult(done.reference, "succeeded", 1999, **whose, key="o-1.attempt.1")
    assert ChargeReported(1, paid_by) in reports
    code, text, card, reason = declined.code, declined.text, declined.card, declined.reason
    result = ChargeResult(declined.reference, "failed", card=card, code=code, text=text, reason=reason, **whose)
    assert ChargeReported(2, replace(result, key="o-1.attempt.2")) in reports
    assert RefundReported("r-1", refund.result) in reports


async def test_a_refund_that_bounces_is_reported(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    done = await paid(gateway, charge("pm_card_refundFail"))
    await gateway.perform(refund_of(done), key_of())
    await stripe_sandbox.control("POST", "clock", advance_seconds=2)
    await stripe_sandbox.settled()
    reports = [found.report for event in stripe_sandbox.receiver.events if (found := callback(event.to_dict()))]
    failed = [report for report in reports if isinstance(report, RefundReported) and report.result.status == "failed"]
    assert {(report.refund, report.result.code) for report in failed} == {("r-1", "expired_or_canceled_card")}


async def test_a_charge_that_orderbus_did_not_make_is_found(gateway: StripeGateway, stripe_sandbox: Sandbox) -> None:
    done = await paid(gateway)
    ours = [ProviderMovement(done.reference, 1999, "USD", "o-1")]
    assert compare(ours, [one async for one in stripe_movements(gateway)]) == []
    added = await stripe_sandbox.control("POST", "charges", amount=700, metadata={"order": "o-1"})
    problems = compare(ours, [one async for one in stripe_movements(gateway)])
    assert [(problem.problem, problem.reference) for problem in problems] == [
        ("unknown_to_us", added["id"]),
        ("charged_twice", ""),
        ("balance", "USD"),
    ]


async def test_a_reference_that_staff_got_wrong_is_not_taken_for_ours(gateway: StripeGateway) -> None:
    other = await paid(gateway)
    found = await gateway.perform(FindCharge("stripe", "o-2", 1, other.reference, EARLIER), key_of())
    assert isinstance(found, FindCharge.Failed)
    found = await gateway.perform(FindCharge("stripe", "o-2", 1, "pi_typo", EARLIER), key_of())
    assert isinstance(found, FindCharge.Failed)
    request = RefundCharge("stripe", "o-2", "s-1", "r-2", other.reference, 1, "USD", unconfirmed=True)
    refused = await gateway.perform(request, key_of())
    assert isinstance(refused, RefundCharge.Failed)
    assert refused.code == "not_ours"
