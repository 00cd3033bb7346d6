"""Stripe's callbacks over HTTP: only with a valid signature, only about our orders."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import stripe
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from services.payments.domain.operations import ChargeReported, ChargeResult, RefundReported, RefundResult
from services.payments.gateways.stripe.callbacks import (
    INTENT_EVENTS,
    REFUND_EVENTS,
    VERIFICATION_EVENTS,
    NotStripes,
    verified,
)
from services.payments.http import routes
from services.payments.providers import providers_of
from services.payments.settings import PaymentsSettings
from shared.core import Command, Report
from shared.settings import example_settings
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.ports.http_api import Accepted

SECRET = "whsec_test"
CREATED = datetime.fromtimestamp(1_780_000_000, UTC)
INTENT: dict[str, Any] = {
    "object": "payment_intent",
    "id": "pi_1",
    "status": "succeeded",
    "amount": 5000,
    "amount_received": 5000,
    "currency": "usd",
    "metadata": {"order": "o-1", "attempt": "2", "store": "s-1", "key": "o-1.attempt.2"},
}


@dataclass
class Attempts:
    """The database's history of attempts: orders by reference."""

    orders: dict[str, str]

    def connect(self) -> Any:
        return self

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def execute(self, statement: Any) -> Any:
        return self._Found(self.orders.get(statement.compile().params["reference_1"]))

    @dataclass
    class _Found:
        order: str | None

        def scalar_one_or_none(self) -> str | None:
            return self.order


@dataclass
class Api:
    """The shell's HTTP API, as far as a callback sees it."""

    submitted: list[tuple[object, str, str, str, str]] = field(default_factory=list)
    engine: Any = field(default_factory=lambda: Attempts({"pi_9": "o-9"}))
    """A callback reads nothing but whose reference it is."""

    async def submit(
        self,
        message: Command | Report,
        key: str,
        *,
        identity: UUID | str,
        actor: str,
        store: str = "",
        occurred: datetime | None = None,
        compared_by: Command | None = None,
    ) -> Accepted:
        assert occurred == CREATED
        self.submitted.append((message, key, str(identity), actor, store))
        return Accepted(str(identity))


def event(thing: dict[str, Any], type: str = "payment_intent.succeeded") -> bytes:
    return orjson.dumps(
        {"id": "evt_1", "object": "event", "type": type, "created": 1_780_000_000, "data": {"object": thing}}
    )


async def post(api: Api, body: bytes, *, secret: str = SECRET, age: int = 0, signed: bool = True) -> int:
    return (await post_each(api, [body], secret=secret, age=age, signed=signed))[0]


async def post_each(
    api: Api, bodies: Sequence[bytes], *, secret: str = SECRET, age: int = 0, signed: bool = True
) -> list[int]:
    """The statuses that one worker answers to them, one after the other."""
    application = web.Application(middlewares=[protection(Principals.of_token("a-token-of-the-api"))])
    settings = example_settings(PaymentsSettings)
    settings.stripe.webhook_secret = SecretStr(SECRET)
    routes(providers_of(settings))(application, api)
    answers: list[int] = []
    async with TestClient(TestServer(application)) as client:
        for body in bodies:
            signature = stripe.WebhookSignature.generate_signature_header(
                body.decode("utf-8", "replace"), secret, int(time.time()) - age
            )
            headers = {"Stripe-Signature": signature} if signed else {}
            answer = await client.post("/stripe/webhook", data=body, headers=headers)
            await answer.read()
            answers.append(answer.status)
    return answers


async def test_a_signed_event_becomes_a_report() -> None:
    api = Api()
    assert await post(api, event(INTENT)) == 200
    whose: dict[str, Any] = {"requested": 5000, "currency": "USD", "store": "s-1", "key": "o-1.attempt.2"}
    report = ChargeReported(2, ChargeResult("pi_1", "succeeded", 5000, **whose))
    assert api.submitted == [(report, "o-1", "evt_1", "provider:stripe", "s-1")]


async def test_a_refund_event_becomes_a_report() -> None:
    api = Api()
    refund = {"object": "refund", "id": "re_1", "status": "failed", "failure_reason": "lost_or_stolen_card"}
    body = event(refund | {"metadata": {"order": "o-1", "refund": "r-1"}}, "refund.failed")
    assert await post(api, body) == 200
    assert api.submitted[0][0] == RefundReported("r-1", RefundResult("re_1", "failed", "lost_or_stolen_card"))


async def test_a_charge_event_brings_the_card() -> None:
    api = Api()
    charge = {
        "id": "ch_1",
        "payment_intent": "pi_1",
        "captured": True,
        "amount": 5000,
        "amount_captured": 5000,
        "currency": "usd",
        "metadata": INTENT["metadata"],
        "payment_method_details": {"card": {"brand": "visa", "last4": "4242", "exp_month": 1, "exp_year": 2031}},
    }
    assert await post(api, event(charge, "charge.succeeded")) == 200
    report = api.submitted[0][0]
    assert isinstance(report, ChargeReported)
    assert report.result.card is not None
    assert report.result.card.last4 == "4242"


@pytest.mark.parametrize(
    ("secret", "age", "signed"), [("whsec_other", 0, True), (SECRET, 301, True), (SECRET, 0, False)]
)
async def test_an_event_without_a_valid_signature_is_refused(secret: str, age: int, signed: bool) -> None:
    api = Api()
    assert await post(api, event(INTENT), secret=secret, age=age, signed=signed) == 400
    assert api.submitted == []


@pytest.mark.parametrize(
    "body",
    [
        event(INTENT, "customer.created"),
        event(INTENT | {"metadata": {}}),
        event(INTENT | {"metadata": {"order": "not an id", "attempt": "1"}}),
        event({"id": "re_1", "status": "succeeded", "metadata": {}}, "refund.created"),
        event(INTENT | {"metadata": {"order": "o-1", "attempt": "one"}}),
    ],
)
async def test_events_about_other_things_are_accepted_and_ignored(body: bytes) -> None:
    api = Api()
    assert await post(api, body) == 200
    assert api.submitted == []


async def test_events_without_our_metadata_are_found_by_the_charges_reference() -> None:
    api = Api()
    assert await post(api, event(INTENT | {"id": "pi_9", "metadata": {}})) == 200
    refund = {"id": "re_9", "status": "succeeded", "payment_intent": "pi_9", "amount": 100, "currency": "usd"}
    assert await post(api, event(refund, "refund.created")) == 200
    charged, refunded = (submitted[0] for submitted in api.submitted)
    assert isinstance(charged, ChargeReported) and charged.attempt == 0
    assert refunded == RefundReported("", RefundResult("re_9", charge="pi_9", amount=100, currency="USD"))
    assert [submitted[1] for submitted in api.submitted] == ["o-9", "o-9"]


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff\xfe", b'{"id": 1, "type": 2}', b""])
async def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    assert await post(Api(), body) == 400


@pytest.mark.parametrize(
    "signature", ["t=1,v1=é", "t=é,v1=" + "0" * 64, "é", "t=1,v1=\udcff", "t=" + "9" * 5000 + ",v1=0"]
)
async def test_a_signature_that_is_not_ascii_is_refused(signature: str) -> None:
    with pytest.raises(NotStripes):
        verified(event(INTENT), signature, SECRET, 300)


ODD: dict[str, Any] = {"metadata": INTENT["metadata"], "id": "pi_1"}


@pytest.mark.parametrize(
    ("data", "type"),
    [
        ("s", "payment_intent.succeeded"),
        (["s"], "payment_intent.succeeded"),
        ({"object": "s"}, "payment_intent.succeeded"),
        ({"object": [1]}, "refund.created"),
        ({"object": INTENT | {"metadata": "s"}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"metadata": [1]}}, "payment_intent.succeeded"),
        ({"object": ODD}, "payment_intent.succeeded"),
        ({"object": INTENT | {"id": 7}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"id": {}}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"amount_received": "many"}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"amount_received": -1}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"amount_received": 2**70}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"amount_received": True}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"amount_received": 10**400}}, "payment_intent.succeeded"),
        ({"object": ODD | {"status": "requires_action", "next_action": 1}}, "payment_intent.requires_action"),
        (
            {"object": ODD | {"status": "requires_action", "next_action": {"redirect_to_url": {"url": "x"}}}},
            "payment_intent.requires_action",
        ),
        (
            {"object": ODD | {"status": "requires_payment_method", "last_payment_error": "s"}},
            "payment_intent.succeeded",
        ),
        ({"object": INTENT | {"payment_method": {"card": "s"}}}, "payment_intent.succeeded"),
        ({"object": INTENT | {"payment_method": {"card": {"last4": 4242}}}}, "payment_intent.succeeded"),
        ({"object": {"metadata": {"order": "o-1", "refund": "r-1"}}}, "refund.created"),
        ({"object": {"metadata": {"order": "o-1", "refund": "r-1"}, "id": 1}}, "refund.created"),
        (
            {"object": ODD | {"captured": True, "payment_intent": "pi_1", "amount_captured": []}},
            "charge.succeeded",
        ),
    ],
)
async def test_a_signed_event_of_an_odd_shape_is_refused(data: object, type: str) -> None:
    api = Api()
    body = json.dumps({"id": "evt_1", "type": type, "created": 1_780_000_000, "data": data}).encode()
    assert await post(api, body) == 400
    assert api.submitted == []


async def test_a_refused_event_is_not_repeated_for_days() -> None:
    """Stripe repeats what is not answered with a 2xx."""
    api, odd = Api(), event(INTENT | {"metadata": "s"})
    another = odd.replace(b"evt_1", b"evt_2")
    assert await post_each(api, [odd, odd, another, another, odd, event(INTENT)]) == [400, 200, 400, 200, 200, 200]
    assert len(api.submitted) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"id": null, "type": "x", "created": 1780000000}',
        b'{"id": "evt_1", "type": 5, "created": 1780000000}',
        b'{"id": "evt_1", "type": "x", "created": "x"}',
        b'{"id": "evt_1", "type": "x", "created": 1780000000, "data": {"object": {"name": "a\\u0000b"}}}',
        b'{"id": "evt_1", "type": "x", "created": 1780000000, "data": {"object": {"name": "a\\ud800b"}}}',
    ],
)
async def test_nor_one_that_is_no_event(body: bytes) -> None:
    assert await post_each(Api(), [body, body]) == [400, 200]


async def test_a_signed_event_with_a_nul_is_refused() -> None:
    api = Api()
    assert await post(api, event(INTENT).replace(b"pi_1", b"pi\\u0000")) == 400
    assert api.submitted == []


def test_the_page_names_the_events_that_are_read() -> None:
    page = (Path(__file__).parents[3] / "services/payments/gateways/stripe/README.md").read_text()
    callbacks = page.partition("## Callbacks")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:payment_intent|setup_intent|charge|refund)\.[a-z_.]+)`", callbacks))
    assert named == INTENT_EVENTS | VERIFICATION_EVENTS | REFUND_EVENTS | {"charge.succeeded"}
