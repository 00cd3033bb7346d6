"""What goes wrong between a shop and Stripe: lost answers, repeated requests, webhooks astray, kills."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import stripe

from .stripe_sandbox_rig import CONTROL, Receiver, Sandbox, receiving, sandbox, sdk


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def shop(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Sandbox]:
    async with sandbox(tmp_path, receiver) as running:
        yield running


async def charged(shop: Sandbox) -> int:
    """How often the order's card was really charged."""
    books = await shop.control("GET", "books?order=ORD-1")
    return sum(it["effects"]["charges"] for it in books["payment_intents"])


async def test_the_same_key_gets_the_same_answer_and_has_one_effect(shop: Sandbox) -> None:
    first = await shop.pay(key="pay-1")
    again = await shop.pay(key="pay-1")

    assert again.id == first.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert await charged(shop) == 1


async def test_a_key_answers_only_to_its_own_request(shop: Sandbox) -> None:
    intent = await shop.pay(key="pay-1")

    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        await shop.pay(key="pay-1", amount=2000)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await shop.client.v1.refunds.create_async({"payment_intent": intent.id}, {"idempotency_key": "pay-1"})


async def test_a_decline_is_repeated_but_a_wrong_request_may_be_corrected(shop: Sandbox) -> None:
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            await shop.pay("pm_card_chargeDeclined", key="declines")
    with pytest.raises(stripe.InvalidRequestError):
        await shop.pay(key="corrected", amount=1)
    await shop.pay(key="corrected")

    books = await shop.control("GET", "books?order=ORD-1")
    assert [it["effects"]["declines"] for it in books["payment_intents"]] == [1, 0]


async def test_two_requests_with_one_key_at_once_conflict(shop: Sandbox) -> None:
    await shop.control("POST", "faults", kind="delay", milliseconds=200)

    slow, quick = await asyncio.gather(shop.pay(key="both"), _late(shop), return_exceptions=True)

    assert isinstance(slow, stripe.PaymentIntent)
    assert isinstance(quick, stripe.APIError)
    assert (quick.http_status, quick.error and quick.error.code) == (409, "idempotency_key_in_use")
    assert await charged(shop) == 1


async def _late(shop: Sandbox) -> stripe.PaymentIntent:
    await asyncio.sleep(0.05)
    return await shop.pay(key="both")


@pytest.mark.parametrize(("kind", "before_retry"), [("close_before", 0), ("close_after", 1)])
async def test_an_answer_that_is_lost_leaves_the_caller_to_ask_again(
    shop: Sandbox, kind: str, before_retry: int
) -> None:
    await shop.control("POST", "faults", kind=kind, match={"path": "/v1/payment_intents", "method": "POST"})

    with pytest.raises(stripe.APIConnectionError):
        await shop.pay(key="pay-1")
    assert await charged(shop) == before_retry

    assert (await shop.pay(key="pay-1")).status == "succeeded"
    assert await charged(shop) == 1


async def test_a_delayed_answer_comes_after_the_webhook_of_its_effect(shop: Sandbox, receiver: Receiver) -> None:
    await shop.control("POST", "faults", kind="answer_delay", milliseconds=500)

    paying = asyncio.create_task(shop.pay())
    await receiver.until(lambda: "payment_intent.succeeded" in receiver.types)

    assert not paying.done()
    assert (await paying).status == "succeeded"


async def test_the_sdks_own_retries_come_through(tmp_path: Path) -> None:
    async with receiving() as receiver, sandbox(tmp_path, receiver, retries=2) as shop:
        await shop.control("POST", "faults", kind="close_after", count=1)

        assert (await shop.pay()).status == "succeeded"
        assert await charged(shop) == 1


async def test_a_fault_strikes_the_order_it_is_meant_for(shop: Sandbox) -> None:
    match = {"metadata": {"order": "ORD-9"}}
    await shop.control("POST", "faults", kind="rate_limit", match=match, count=1, retry_after=3)

    assert (await shop.pay()).status == "succeeded"
    with pytest.raises(stripe.RateLimitError) as caught:
        await shop.pay(metadata={"order": "ORD-9"})
    assert caught.value.headers is not None
    assert caught.value.headers["Retry-After"] == "3"
    assert (await shop.pay(metadata={"order": "ORD-9"})).status == "succeeded"


@pytest.mark.parametrize(
    ("fault", "replayed", "charges"),
    [
        ({"kind": "error"}, False, 1),
        ({"kind": "error", "saved": True}, True, 0),
        ({"kind": "error_after"}, True, 1),
    ],
)
async def test_a_500_says_nothing_about_the_effect(
    shop: Sandbox, fault: dict[str, Any], *, replayed: bool, charges: int
) -> None:
    await shop.control("POST", "faults", **fault)

    with pytest.raises(stripe.APIError) as caught:
        await shop.pay(key="pay-1")
    assert caught.value.http_status == 500
    if replayed:
        with pytest.raises(stripe.APIError):
            await shop.pay(key="pay-1")
    else:
        await shop.pay(key="pay-1")
    assert await charged(shop) == charges


async def test_a_fault_without_sense_is_refused(shop: Sandbox) -> None:
    headers = {"Authorization": f"Bearer {CONTROL}"}
    for wrong in ({"kind": "flood"}, {"kind": "delay", "colour": 1}, {"kind": "delay", "count": "x"}, [1]):
        async with shop.http.post(f"{shop.url}/_control/faults", json=wrong, headers=headers) as answer:
            assert answer.status == 400


async def test_webhooks_are_signed_and_carry_the_object_as_it_was(shop: Sandbox) -> None:
    intent = await shop.pay(capture_method="manual")
    await shop.client.v1.payment_intents.capture_async(intent.id)
    await shop.client.v1.refunds.create_async({"payment_intent": intent.id})

    await shop.receiver.until(lambda: len(shop.receiver.events) == 4)
    told = {event.type: event for event in shop.receiver.events}
    assert told["payment_intent.amount_capturable_updated"].data.object["status"] == "requires_capture"
    assert told["payment_intent.succeeded"].data.object["metadata"]["order"] == "ORD-1"
    assert told["charge.refunded"].data.object["amount_refunded"] == 1000
    assert told["refund.created"].data.object["payment_intent"] == intent.id


async def test_events_can_be_read_back(shop: Sandbox) -> None:
    await shop.pay(key="pay-1")
    await shop.receiver.until(lambda: len(shop.receiver.events) == 1)

    events = await shop.client.v1.events.list_async({})
    assert [event.type for event in events.data] == [
        "payment_intent.succeeded",
        "charge.succeeded",
        "payment_intent.created",
    ]
    event = await shop.client.v1.events.retrieve_async(shop.receiver.events[0].id)
    assert event.request is not None
    assert (event.request.idempotency_key, event.id) == ("pay-1", events.data[0].id)


async def test_a_webhook_that_is_refused_comes_again(shop: Sandbox) -> None:
    shop.receiver.refuse = 3

    await shop.pay()

    await shop.receiver.until(lambda: shop.receiver.types == ["payment_intent.succeeded"])
    await shop.settled()
    assert (await shop.control("GET", "webhooks")) == {"undelivered": 0, "attempts": 4}


async def test_webhooks_come_twice_late_or_in_the_wrong_order(shop: Sandbox) -> None:
    await shop.control("POST", "faults", kind="webhook_duplicate", copies=3)
    await shop.pay()
    await shop.receiver.until(lambda: len(shop.receiver.events) == 3)
    assert len({event.id for event in shop.receiver.events}) == 1

    shop.receiver.events.clear()
    await shop.control("POST", "faults", kind="webhook_swap", match={"event": "payment_intent.requires_action"})
    intent = await shop.pay("pm_card_threeDSecure2Required")
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    await shop.http.post(f"{intent.next_action.redirect_to_url.url}/complete", allow_redirects=False)
    await shop.receiver.until(lambda: len(shop.receiver.events) == 2)
    assert shop.receiver.types == ["payment_intent.succeeded", "payment_intent.requires_action"]

    shop.receiver.events.clear()
    await shop.control("POST", "faults", kind="webhook_delay", milliseconds=100)
    await shop.pay()
    assert shop.receiver.events == []
    await shop.receiver.until(lambda: len(shop.receiver.events) == 1)


async def test_webhooks_are_held_and_released_backwards(shop: Sandbox) -> None:
    await shop.control("POST", "webhooks/hold")
    made = [(await shop.pay()).id for _ in range(3)]
    await asyncio.sleep(0.05)
    assert shop.receiver.events == []

    assert await shop.control("POST", "webhooks/release", order="reversed") == {"released": 3}

    await shop.receiver.until(lambda: len(shop.receiver.events) == 3)
    assert {event.data.object["id"] for event in shop.receiver.events} == set(made)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with sandbox(tmp_path, receiver) as shop:
            await shop.control("POST", "webhooks/hold")
            intent = await shop.pay(key="pay-1", capture_method="manual")
            await shop.control("POST", "clock", advance_seconds=3600)
            before = await shop.control("GET", "books")

        async with sandbox(tmp_path, receiver) as shop:
            assert (await shop.pay(key="pay-1", capture_method="manual")).id == intent.id
            assert await shop.control("GET", "books") == before
            assert (await shop.control("GET", "clock"))["ahead_seconds"] == 3600
            await receiver.until(lambda: receiver.types == ["payment_intent.amount_capturable_updated"])
            captured = await shop.client.v1.payment_intents.capture_async(intent.id)
            assert captured.amount_received == 1000


async def test_a_half_written_last_request_is_forgotten(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with sandbox(tmp_path, receiver) as shop:
            await shop.pay()
            await shop.settled()
        journal = tmp_path / "stripe.journal"
        whole = journal.read_bytes()
        journal.write_bytes(whole + whole[: len(whole) // 2])

        async with sandbox(tmp_path, receiver) as shop:
            assert await charged(shop) == 1
        assert journal.stat().st_size == len(whole)


async def start(folder: Path, receiver: Receiver) -> tuple[asyncio.subprocess.Process, str]:
    arguments = ["--data", str(folder), "--webhook-url", receiver.url]
    secrets = {"STRIPE_SANDBOX_CONTROL_TOKEN": CONTROL, "STRIPE_SANDBOX_WEBHOOK_SECRET": "whsec_of_the_tests"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.sandboxes.stripe", *arguments),
        env=os.environ | secrets,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, orjson.loads(await process.stdout.readline())["url"]


async def test_no_secret_can_be_given_where_the_list_of_processes_shows_it(tmp_path: Path) -> None:
    for option in ("--control-token", "--webhook-secret", "--api-key"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "deploy.sandboxes.stripe", "--data", str(tmp_path), option, "a-secret"),
            env=os.environ | {"STRIPE_SANDBOX_CONTROL_TOKEN": CONTROL},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            _, said = await process.communicate()
        assert process.returncode == 2 and b"unrecognized arguments" in said


async def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Forty payments at once, SIGKILL in the middle: the same keys again, and every order is charged once."""
    async with receiving() as receiver:
        process, url = await start(tmp_path, receiver)
        async with sdk(url) as client:
            paying = [asyncio.create_task(_pay_order(client, number)) for number in range(40)]
            await receiver.until(lambda: len(receiver.events) >= 5)
            process.send_signal(signal.SIGKILL)
            answers = await asyncio.gather(*paying, return_exceptions=True)
            await process.wait()

        process, url = await start(tmp_path, receiver)
        try:
            async with sdk(url) as client:
                again = [await _pay_order(client, number) for number in range(40)]
            kept = [
                (was, now.id) for was, now in zip(answers, again, strict=True) if isinstance(was, stripe.PaymentIntent)
            ]
            assert all(was.id == now for was, now in kept)
            await receiver.until(lambda: len({event.data.object["id"] for event in receiver.events}) == 40)
            assert len({intent.id for intent in again}) == 40
        finally:
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


async def _pay_order(client: stripe.StripeClient, number: int) -> stripe.PaymentIntent:
    return await client.v1.payment_intents.create_async(
        {
            "amount": 1000,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "allowed_payment_method_types": ["card"],
            "confirm": True,
            "metadata": {"order": f"ORD-{number}"},
        },
        {"idempotency_key": f"pay-{number}"},
    )


async def test_two_sandboxes_do_not_share_a_folder(tmp_path: Path) -> None:
    async with receiving() as receiver, sandbox(tmp_path, receiver):
        with pytest.raises(RuntimeError, match="in use by another Stripe sandbox"):
            async with sandbox(tmp_path, receiver):
                pass
