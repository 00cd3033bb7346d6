"""Several accounts at one Stripe sandbox: what is in one is in no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stripe

from deploy.client.http import Problem
from deploy.sandboxes.client import StripeSandbox

from .stripe_sandbox_rig import CONTROL, SECRET, Receiver, Sandbox, receiving, sandbox, sdk

BERLIN = "sk_test_berlin"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with receiving() as receiver, sandbox(tmp_path, receiver) as running:
        yield running


async def open_berlin(shop: Sandbox, receiver: Receiver) -> None:
    added = await shop.control(
        "POST", "accounts", name="berlin", api_key=BERLIN, webhook_url=receiver.url, webhook_secret=SECRET
    )
    assert added == {"name": "berlin", "id": "acct_berlin"}


async def charged(shop: Sandbox, account: str = "") -> list[str]:
    prefix = f"accounts/{account}/" if account else ""
    return [it["id"] for it in (await shop.control("GET", f"{prefix}books"))["payment_intents"]]


async def test_an_object_of_one_account_does_not_exist_in_another(shop: Sandbox) -> None:
    async with receiving() as receiver, sdk(shop.url, key=BERLIN) as client:
        await open_berlin(shop, receiver)
        here = await shop.pay()
        berlin = Sandbox(shop.url, client, shop.http, receiver)
        there = await berlin.pay()

        for asked, identifier in ((shop.client, there.id), (berlin.client, here.id)):
            with pytest.raises(stripe.InvalidRequestError) as caught:
                await asked.v1.payment_intents.retrieve_async(identifier)
            assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
            with pytest.raises(stripe.InvalidRequestError) as caught:
                await asked.v1.refunds.create_async({"payment_intent": identifier})
            assert (caught.value.code, caught.value.param) == ("resource_missing", "payment_intent")
        assert [it.id for it in (await berlin.client.v1.payment_intents.list_async()).data] == [there.id]
        assert (await charged(shop), await charged(shop, "berlin")) == ([here.id], [there.id])


async def test_each_account_sends_events_to_its_own_endpoint(shop: Sandbox) -> None:
    async with receiving() as receiver, sdk(shop.url, key=BERLIN) as client:
        await open_berlin(shop, receiver)
        here, there = await shop.pay(), await Sandbox(shop.url, client, shop.http, receiver).pay()
        await shop.receiver.until(lambda: bool(shop.receiver.events))
        await receiver.until(lambda: bool(receiver.events))

        assert [event.data.object["id"] for event in shop.receiver.events] == [here.id]
        assert [event.data.object["id"] for event in receiver.events] == [there.id]


async def test_each_account_has_its_own_idempotency_keys_and_faults(shop: Sandbox) -> None:
    async with receiving() as receiver, sdk(shop.url, key=BERLIN) as client:
        await open_berlin(shop, receiver)
        berlin = Sandbox(shop.url, client, shop.http, receiver)
        assert (await shop.pay(key="pay-1")).id != (await berlin.pay(key="pay-1", amount=2000)).id

        await shop.control("POST", "accounts/berlin/faults", kind="expired_key", count=None)
        assert (await shop.pay()).status == "succeeded"
        with pytest.raises(stripe.AuthenticationError):
            await berlin.pay()


async def test_three_d_secure_pages_and_the_dashboard_are_those_of_the_account(shop: Sandbox) -> None:
    async with receiving() as receiver, sdk(shop.url, key=BERLIN) as client:
        await open_berlin(shop, receiver)
        waiting = await Sandbox(shop.url, client, shop.http, receiver).pay("pm_card_threeDSecure2Required")
        assert waiting.next_action is not None and waiting.next_action.redirect_to_url is not None
        async with shop.http.post(f"{waiting.next_action.redirect_to_url.url}/complete", allow_redirects=False) as left:
            assert left.status == 303
        await shop.control("POST", "accounts/berlin/refunds", payment_intent=waiting.id)
        (entry,) = (await shop.control("GET", "accounts/berlin/books"))["payment_intents"]
        assert (entry["captured"], entry["refunded"]) == (1000, 1000)
        assert await charged(shop) == []


async def test_accounts_are_there_after_a_restart(tmp_path: Path) -> None:
    async with receiving() as receiver:
        async with sandbox(tmp_path, receiver) as shop, sdk(shop.url, key=BERLIN) as client:
            await open_berlin(shop, receiver)
            there = await Sandbox(shop.url, client, shop.http, receiver).pay()
        async with sandbox(tmp_path, receiver) as shop, sdk(shop.url, key=BERLIN) as client:
            names = [account["name"] for account in (await shop.control("GET", "accounts"))["accounts"]]
            assert names == ["default", "berlin"]
            assert (await client.v1.payment_intents.retrieve_async(there.id)).status == "succeeded"
            assert await charged(shop) == []


async def test_the_python_client_works_for_one_account(shop: Sandbox) -> None:
    async with StripeSandbox(shop.url, CONTROL) as bank, StripeSandbox(shop.url, CONTROL, "berlin") as berlin:
        await bank.add_account("berlin", BERLIN)
        await berlin.inject({"kind": "refund_pending"})
        intent = await berlin.charge(5000, "eur", order="ORD-1")
        refund = await berlin.refund(intent, 1200)
        (waiting,) = (await berlin.books(order="ORD-1"))["payment_intents"]
        await berlin.settle_refund(refund)
        await berlin.settle_refund(refund, bounced=True)
        (failed,) = (await berlin.books())["payment_intents"]
        await berlin.pause_account()
        with pytest.raises(Problem):
            await berlin.charge(5000, "eur")
        await bank.charge(5000, "usd")
        await berlin.resume_account()
        await berlin.charge(5000, "eur")

        assert [it["status"] for it in (*waiting["refunds"], *failed["refunds"])] == ["pending", "failed"]
        assert len((await bank.books())["payment_intents"]) == 1


PAUSED = {"charges_enabled": False}


async def test_a_paused_account_makes_no_charge_and_still_refunds(shop: Sandbox) -> None:
    paid, held = await shop.pay(), await shop.pay("pm_card_visa", capture_method="manual")
    await shop.control("POST", "account", **PAUSED)

    with pytest.raises(stripe.StripeError, match="cannot currently make live charges") as caught:
        await shop.pay(key="pay-1")

    assert caught.value.http_status == 402
    assert caught.value.error is not None
    assert (caught.value.error.code, caught.value.error.type) == ("testmode_charges_only", "invalid_request_error")
    assert (await shop.client.v1.refunds.create_async({"payment_intent": paid.id})).status == "succeeded"
    assert (await shop.client.v1.payment_intents.capture_async(held.id)).status == "succeeded"
    opened = await shop.client.v1.payment_intents.create_async({"amount": 1000, "currency": "usd"})
    assert opened.status == "requires_payment_method"
    assert (await shop.client.v1.accounts.retrieve_current_async()).charges_enabled is False
    assert len(await charged(shop)) == 3
    await shop.control("POST", "account", charges_enabled=True)
    with pytest.raises(stripe.StripeError, match="cannot currently make live charges"):
        await shop.pay(key="pay-1")
    assert (await shop.pay(key="pay-2")).status == "succeeded"


async def test_a_paused_account_may_forget_what_it_refused(shop: Sandbox) -> None:
    await shop.control("POST", "account", **PAUSED, status=403, code="account_invalid", saved=False)
    with pytest.raises(stripe.PermissionError):
        await shop.pay(key="pay-1")

    await shop.control("POST", "account", charges_enabled=True)

    assert (await shop.pay(key="pay-1")).status == "succeeded"


async def test_only_the_paused_account_is_paused(shop: Sandbox) -> None:
    await open_berlin(shop, shop.receiver)
    await shop.control("POST", "accounts/berlin/account", **PAUSED)

    assert (await shop.pay()).status == "succeeded"


@pytest.mark.parametrize("wrong", [{}, {"charges_enabled": "no"}, {**PAUSED, "status": "x"}, {**PAUSED, "colour": 1}])
async def test_a_pause_without_sense_is_refused(shop: Sandbox, wrong: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {CONTROL}"}
    async with shop.http.post(f"{shop.url}/_control/account", json=wrong, headers=headers) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "../up", "api_key": "sk_test_x"},
        {"name": "berlin", "api_key": "sk_test_x"},
        {"name": "paris", "api_key": BERLIN},
        {"name": "paris", "api_key": "sk_live_x"},
        {"name": "paris", "api_key": "sk_test_x", "webhook_url": "http://127.0.0.1/"},
        {"name": "paris", "api_key": "sk_test_x", "colour": "red"},
    ],
)
async def test_an_account_without_sense_is_refused(shop: Sandbox, wrong: dict[str, str]) -> None:
    await open_berlin(shop, shop.receiver)
    headers = {"Authorization": f"Bearer {CONTROL}"}
    async with shop.http.post(f"{shop.url}/_control/accounts", json=wrong, headers=headers) as answer:
        assert answer.status == 400
    async with shop.http.get(f"{shop.url}/_control/accounts/paris/books", headers=headers) as answer:
        assert answer.status == 404
