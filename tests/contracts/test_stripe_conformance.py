"""Stripe judges: what the sandbox answers fits Stripe's description, what we send passes Stripe's validator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import stripe
from aiohttp import web
from pydantic import SecretStr

from services.payments.domain.operations import CancelCharge, ChargeCard, FindCharge, RefundCharge
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.records import stripe_movements
from services.payments.gateways.stripe.settings import StripeSettings
from tests.integration.stripe_sandbox_rig import KEY, Sandbox, listening, receiving, sandbox, sdk

from .stripe_description import Description, Tree, fetch, stripe_mock

BACK = "https://shop.example/back"
Form = dict[str, str]


@pytest.fixture(scope="module")
def description() -> Description:
    return Description.read(fetch()[1])


@pytest.fixture(scope="module")
def validator() -> Iterator[str]:
    with stripe_mock(fetch()[0]) as url:
        yield url


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with receiving() as receiver, sandbox(tmp_path_factory.mktemp("stripe"), receiver) as running:
        yield running


class Caller:
    """Sends requests to the sandbox and lets the description judge each answer."""

    def __init__(self, shop: Sandbox, description: Description) -> None:
        self._shop = shop
        self._description = description

    async def __call__(
        self, method: str, template: str, *names: str, form: Form | None = None, status: int = 200
    ) -> Tree:
        """`template` is the path as the description writes it; `names` fill its placeholders."""
        path = template
        for name in names:
            path = path.replace(path[path.index("{") : path.index("}") + 1], name, 1)
        query, body = (form, None) if method == "GET" else (None, form)
        headers = {"Authorization": f"Bearer {KEY}"}
        async with self._shop.http.request(
            method, self._shop.url + path, headers=headers, params=query, data=body
        ) as answer:
            data: Tree = await answer.json()
            assert answer.status == status, data
        assert self._description.problems(data, self._description.of_answer(method, template, status)) == []
        return data

    async def post(self, template: str, *names: str, form: Form | None = None, status: int = 200) -> Tree:
        return await self("POST", template, *names, form=form, status=status)

    async def get(self, template: str, *names: str, form: Form | None = None) -> Tree:
        return await self("GET", template, *names, form=form)

    async def pay(self, card: str = "pm_card_visa", form: Form | None = None, status: int = 200) -> Tree:
        paying = {"amount": "1000", "currency": "usd", "payment_method": card, "confirm": "true", "return_url": BACK}
        return await self.post("/v1/payment_intents", form=paying | (form or {}), status=status)


@pytest.fixture
def call(shop: Sandbox, description: Description) -> Caller:
    return Caller(shop, description)


INTENT, MANUAL = "/v1/payment_intents/{intent}", {"capture_method": "manual"}


async def test_a_payment_fits_in_each_of_its_statuses(call: Caller) -> None:
    opened = await call.post("/v1/payment_intents", form={"amount": "1000", "currency": "usd"})
    assert opened["status"] == "requires_payment_method"
    chosen = await call.post(INTENT, opened["id"], form={"payment_method": "pm_card_visa"})
    assert chosen["status"] == "requires_confirmation"
    paid = await call.post(f"{INTENT}/confirm", opened["id"], form={"return_url": BACK})
    assert paid["status"] == "succeeded"
    held = await call.pay(form=MANUAL | {"shipping[name]": "Ada", "shipping[address][city]": "Turku"})
    assert held["status"] == "requires_capture"
    captured = await call.post(f"{INTENT}/capture", held["id"], form={"amount_to_capture": "400"})
    assert captured["amount_received"] == 400
    held = await call.pay(form=MANUAL)
    assert (await call.post(f"{INTENT}/cancel", held["id"]))["status"] == "canceled"
    waiting = await call.pay("pm_card_threeDSecure2Required")
    assert waiting["status"] == "requires_action"
    assert (await call.get(INTENT, waiting["id"]))["next_action"]["type"] == "redirect_to_url"


@pytest.mark.parametrize("card", ["pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard", "pm_card_radarBlock"])
async def test_a_decline_fits_with_the_payment_inside_it(call: Caller, card: str) -> None:
    error = (await call.pay(card, status=402))["error"]

    intent = await call.get(INTENT, error["payment_intent"]["id"], form={"expand[]": "latest_charge"})
    assert intent["latest_charge"]["status"] == "failed"


async def test_errors_fit(call: Caller, shop: Sandbox) -> None:
    await call.pay(form={"amount": "1"}, status=400)
    await call.pay("pm_unknown", status=404)
    paid = await call.pay()
    await call.post(f"{INTENT}/capture", paid["id"], status=400)
    await call.post("/v1/refunds", form={"payment_intent": paid["id"], "amount": "1001"}, status=400)
    for kind, status in (("rate_limit", 429), ("error", 500)):
        await shop.control("POST", "faults", kind=kind)
        await call.pay(status=status)


async def test_a_paused_account_and_its_refusal_fit(call: Caller, shop: Sandbox) -> None:
    assert (await call.get("/v1/account"))["charges_enabled"] is True
    for fields in ({}, {"status": 400, "code": None}, {"status": 403, "code": "account_invalid"}):
        await shop.control("POST", "account", charges_enabled=False, **fields)
        await call.pay(status=int(str(fields.get("status", 402))))
        assert (await call.get("/v1/account"))["charges_enabled"] is False
    await shop.control("POST", "account", charges_enabled=True)
    await call.pay()


async def test_charges_refunds_and_movements_of_money_fit(call: Caller, shop: Sandbox) -> None:
    expand = {"expand[0]": "latest_charge.balance_transaction", "expand[1]": "payment_method"}
    paid = await call.pay(form={**expand, "metadata[order]": "ORD-1"})
    charge = paid["latest_charge"]["id"]
    asked = {"payment_intent": paid["id"], "amount": "300", "reason": "duplicate"}
    refund = await call.post("/v1/refunds", form=asked)
    await call.post("/v1/refunds/{refund}", refund["id"], form={"metadata[note]": "x"})
    await call.get("/v1/refunds/{refund}", refund["id"], form={"expand[]": "charge"})
    await call.get("/v1/charges/{charge}", charge, form={"expand[]": "refunds"})
    movement = await call.get("/v1/balance_transactions/{id}", refund["balance_transaction"])
    assert movement["amount"] == -300
    bounced = await call.pay("pm_card_refundFail")
    failed = await call.post("/v1/refunds", form={"payment_intent": bounced["id"]})
    paid = await call.pay("pm_card_pendingRefund")
    pending = await call.post("/v1/refunds", form={"payment_intent": paid["id"]})
    assert pending["status"] == "pending"
    await shop.control("POST", "clock", advance_seconds=2)
    assert (await call.get("/v1/refunds/{refund}", failed["id"]))["status"] == "failed"
    assert (await call.get("/v1/refunds/{refund}", pending["id"]))["status"] == "succeeded"
    movement = await call.get("/v1/balance_transactions/{id}", failed["balance_transaction"])
    assert movement["amount"] == -1000


async def test_what_surrounds_a_payment_fits(call: Caller) -> None:
    customer = await call.post("/v1/customers", form={"email": "ada@example.com", "address[city]": "Turku"})
    card = {"card[number]": "4242424242424242", "card[exp_month]": "1", "card[exp_year]": "2040"}
    token = await call.post("/v1/tokens", form=card)
    method = await call.post("/v1/payment_methods", form={"type": "card", "card[token]": token["id"]})
    attached = "/v1/payment_methods/{payment_method}/attach"
    await call.post(attached, method["id"], form={"customer": customer["id"]})
    kept = {"confirm": "true", "return_url": BACK}
    await call.post("/v1/setup_intents", form={**kept, "payment_method": method["id"], "customer": customer["id"]})
    await call.post("/v1/setup_intents", form={**kept, "payment_method": "pm_card_threeDSecureRequired"})
    await call.post("/v1/setup_intents", form={**kept, "payment_method": "pm_card_chargeDeclined"}, status=402)
    await call.get("/v1/balance")


COLLECTIONS = "payment_intents charges refunds balance_transactions customers payment_methods setup_intents".split()


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_lists_fit(call: Caller, collection: str) -> None:
    paid = await call.pay()
    await call.post("/v1/refunds", form={"payment_intent": paid["id"]})

    await call.get(f"/v1/{collection}", form={"limit": "3"})


async def test_events_fit_and_so_does_the_object_in_each(call: Caller, shop: Sandbox, description: Description) -> None:
    await call.pay("pm_card_chargeDeclined", status=402)
    paid = await call.pay(form=MANUAL)
    await call.post(f"{INTENT}/capture", paid["id"])
    await call.post("/v1/refunds", form={"payment_intent": paid["id"]})
    await call.pay("pm_card_authenticationRequired")
    bounced = await call.pay("pm_card_refundFail")
    await call.post("/v1/refunds", form={"payment_intent": bounced["id"]})
    await shop.control("POST", "clock", advance_seconds=2)

    events = (await call.get("/v1/events", form={"limit": "100"}))["data"]

    types = {event["type"] for event in events}
    assert len(types) >= 8
    assert {"refund.failed", "refund.updated", "charge.refund.updated"} <= types
    for told in events:
        thing = told["data"]["object"]
        assert description.problems(thing, {"$ref": f"#/components/schemas/{thing['object']}"}) == []


async def test_nothing_is_missing_that_stripes_own_examples_have(call: Caller, description: Description) -> None:
    expand = {"expand[0]": "latest_charge.balance_transaction", "expand[1]": "payment_method"}
    paid = await call.pay(form=expand | {"capture_method": "automatic"})
    refund = await call.post("/v1/refunds", form={"payment_intent": paid["id"]})
    event = (await call.get("/v1/events", form={"limit": "1"}))["data"][0]

    things = [paid["latest_charge"], paid["latest_charge"]["balance_transaction"], paid["payment_method"]]
    for thing in [paid, *things, refund, event]:
        expandable = {"refunds"} if thing["object"] == "charge" else set()
        assert description.missing(thing) == expandable, thing["object"]


async def test_the_description_does_refuse(call: Caller, description: Description) -> None:
    """Else its silence would say nothing."""
    intent = await call.pay()

    schema = description.of_answer("POST", "/v1/payment_intents", 200)
    for wrong in ({"amount": "1000"}, {"colour": "red"}, {"status": None}, {"latest_charge": 7}):
        assert description.problems(intent | wrong, schema) != []


# What we send.


@dataclass
class Recorder:
    """Stands before the sandbox and writes down what passes."""

    sandbox: str
    http: aiohttp.ClientSession
    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    async def forward(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.sent.append((request.method, request.path_qs, body))
        names = ("Authorization", "Idempotency-Key", "Content-Type", "Stripe-Version")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        url = self.sandbox + request.path_qs
        async with self.http.request(request.method, url, data=body, headers=headers) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


async def sdk_calls(url: str) -> None:
    """The calls a payment gateway makes, by the SDK itself."""
    async with sdk(url) as client:
        intents, refunds = client.v1.payment_intents, client.v1.refunds
        method = await client.v1.payment_methods.create_async({"type": "card", "card": {"token": "tok_visa"}})
        paid = await intents.create_async(
            {
                "amount": 1999,
                "currency": "eur",
                "payment_method": method.id,
                "confirm": True,
                "return_url": BACK,
                "capture_method": "automatic",
                "statement_descriptor_suffix": "BIKES",
                "metadata": {"order": "ORD-1"},
                "expand": ["latest_charge"],
            },
            {"idempotency_key": "pay-1"},
        )
        with pytest.raises(stripe.CardError):
            await intents.create_async(
                {
                    "amount": 500,
                    "currency": "usd",
                    "payment_method": "pm_card_chargeDeclined",
                    "confirm": True,
                    "return_url": BACK,
                }
            )
        held = await intents.create_async(
            {
                "amount": 100,
                "currency": "usd",
                "capture_method": "manual",
                "allowed_payment_method_types": ["card"],
                "payment_method": "pm_card_visa",
                "confirm": True,
            }
        )
        await intents.capture_async(held.id, {"amount_to_capture": 60})
        opened = await intents.create_async({"amount": 100, "currency": "usd"})
        await intents.confirm_async(opened.id, {"payment_method": "pm_card_visa", "return_url": BACK})
        await intents.retrieve_async(paid.id, {"expand": ["latest_charge"]})
        await intents.list_async({"limit": 5, "created": {"gte": paid.created}})
        await intents.update_async(paid.id, {"metadata": {"note": "n"}})
        spare = await intents.create_async({"amount": 100, "currency": "usd"})
        await intents.cancel_async(spare.id, {"cancellation_reason": "abandoned"})
        await refunds.create_async({"payment_intent": paid.id, "amount": 100, "metadata": {"refund": "r-1"}})
        await refunds.list_async({"payment_intent": paid.id})
        await client.v1.charges.list_async({"payment_intent": paid.id})
        await client.v1.balance_transactions.list_async({"limit": 100, "type": "charge"})
        await client.v1.events.list_async({"types": ["payment_intent.succeeded"]})
        await client.v1.setup_intents.create_async(
            {"payment_method": "pm_card_visa", "confirm": True, "return_url": BACK}
        )


async def gateway_calls(url: str) -> None:
    """Everything that the payments gateway asks of Stripe."""
    gateway = StripeGateway(StripeSettings(api_key=SecretStr(KEY), webhook_secret=SecretStr("whsec_1"), api_base=url))
    charge = ChargeCard("stripe", "o-1", "s-1", "ORD-1", 1, 1999, "USD", BACK, "pm_card_visa", "", "BIKES")
    try:
        paid = await gateway.perform(charge, "gateway-1")
        assert isinstance(paid, ChargeCard.Done)
        by_token = replace(charge, attempt=2, payment_method="", token="tok_visa")
        assert isinstance(await gateway.perform(by_token, "gateway-2"), ChargeCard.Done)
        assert isinstance(await gateway.find(charge, FORGOTTEN), ChargeCard.Done)
        await gateway.perform(FindCharge("stripe", "o-1", 1, paid.result.reference, datetime.now(UTC)), "gateway-3")
        refund = RefundCharge("stripe", "o-1", "s-1", "r-1", paid.result.reference, 99, "USD", "requested_by_customer")
        assert isinstance(await gateway.perform(refund, "gateway-4"), RefundCharge.Done)
        assert isinstance(await gateway.find(refund, "gateway-4"), RefundCharge.Done)
        waiting = await gateway.perform(replace(charge, payment_method="pm_card_threeDSecureRequired"), "gateway-5")
        assert isinstance(waiting, ChargeCard.Done)
        await gateway.perform(CancelCharge("stripe", "o-1", 1, waiting.result.reference), "gateway-6")
        assert [one async for one in stripe_movements(gateway)]
    finally:
        await gateway.close()


FORGOTTEN = "01900000-0000-7000-8000-000000000001"
"""An operation of 2024: Stripe has forgotten its key."""
PLAYS: list[Callable[[str], Awaitable[None]]] = [sdk_calls, gateway_calls]
"""Each plays against the API at the given address, and what it sends is judged."""


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
async def test_what_is_sent_passes_stripes_validator(
    play: Callable[[str], Awaitable[None]], shop: Sandbox, validator: str
) -> None:
    recorder = Recorder(shop.url, shop.http)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", recorder.forward)
    async with listening(app) as url:
        await play(url)

    assert recorder.sent
    for method, path, body in recorder.sent:
        refusal = await judged(shop.http, validator, method, path, body)
        assert refusal is None, f"{method} {path} {body.decode()}: {refusal}"


async def test_the_validator_does_refuse(shop: Sandbox, validator: str) -> None:
    """Else its silence would say nothing."""
    wrong: Any = await judged(shop.http, validator, "POST", "/v1/refunds", b"colour=red")

    assert "additional properties are not allowed" in wrong


async def judged(http: aiohttp.ClientSession, validator: str, method: str, path: str, body: bytes) -> str | None:
    """The validator's objection, or None."""
    headers = {"Authorization": f"Bearer {KEY}"}
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    async with http.request(method, validator + path, data=body or None, headers=headers) as answer:
        return None if answer.status == 200 else await answer.text()
