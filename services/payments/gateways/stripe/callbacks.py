"""Stripe's callbacks: whether one is really Stripe's, and what it reports about our orders."""

from __future__ import annotations

import hashlib
import re
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Literal

import orjson
import structlog
from aiohttp import web
from pydantic import BaseModel

from services.payments.domain.operations import ChargeReported, RefundReported
from services.payments.domain.verification import VerificationReported
from services.payments.gateways.provider import OrderOf
from services.payments.gateways.stripe.objects import Json, captured_charge, charge_result, refund_result
from services.payments.gateways.stripe.sdk import stripe
from services.payments.gateways.stripe.settings import StripeSettings
from services.payments.gateways.stripe.verifications import verification_result
from shared.contracts.envelope import has_nul, read_key
from shared.core import Report, codec
from shared.core.money import MAX_AMOUNT
from shared.shell.http.access import RequestHandler
from shared.shell.http.declaration import Declaration, DeclaredResponse, Header
from shared.shell.http.problems import ProblemResponse, json_response
from shared.shell.http.requests import header_in, read_body
from shared.shell.ports.http_api import HttpApi

log = structlog.get_logger(__name__)
INTENT_EVENTS = frozenset(
    {
        "payment_intent.succeeded",
        "payment_intent.payment_failed",
        "payment_intent.requires_action",
        "payment_intent.canceled",
    }
)
VERIFICATION_EVENTS = frozenset(
    {
        "payment_intent.amount_capturable_updated",
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "setup_intent.succeeded",
        "setup_intent.setup_failed",
        "setup_intent.canceled",
    }
)
"""Of a card that is verified. Stripe's dashboard must send them, too; without them payments asks."""
REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})

MAX_EVENT = 400_000
"""Bytes. Stripe's events have a few thousand; metadata adds at most 27,000."""
CALLBACK_PATH = "/stripe/webhook"
REMEMBERED = 1000
"""Ids of refused events that a worker knows. Stripe sends an event that was refused again for up to three days:
https://docs.stripe.com/webhooks#retries."""

SIGNATURE = Header("Stripe-Signature", "As Stripe signs its events: `t=<time>,v1=<signature>`.", required=True)


@dataclass(frozen=True, slots=True)
class Received:
    """The callback was accepted."""

    received: Literal[True] = True
    """Always true."""
    ignored: bool = False
    """It is about none of our orders, or was refused before."""


CALLBACK = Declaration(
    "Take an event from Stripe", (DeclaredResponse(Received),), headers=(SIGNATURE,), raw_body="Stripe's event."
)

_TIME = re.compile(r"(?:^|,)t=(\d{1,12})(?:,|$)", re.ASCII)
_SIGNATURE = re.compile(r"(?:^|,)v1=[0-9a-f]{64}(?:,|$)")
_URL = re.compile(r"https?://\S{1,1990}")
_YEAR_9999 = 253_370_764_800


class NotStripes(Exception):
    """The signature is missing, invalid or too old."""


class OddEvent(Exception):
    """Signed, but not of the shape that Stripe documents. `id`: the same in each repetition."""

    def __init__(self, id: str) -> None:
        super().__init__(id)
        self.id = id


def callbacks(settings: StripeSettings, api: HttpApi, order_of: OrderOf, order_of_charge: OrderOf) -> RequestHandler:
    """Takes signed events. Stripe never sends an event again after a 2xx, so it is answered only after the commit.

    An event that cannot be read is refused once, so that Stripe's dashboard shows it; its repetitions are ignored."""
    secret = settings.webhook_secret.get_secret_value()
    refused: deque[str] = deque(maxlen=REMEMBERED)

    async def find_order(found: Callback) -> str:
        """By the charge's reference, or, before its answer has told us that, by the charge's own metadata."""
        if (order := await order_of(found.reference)) or not isinstance(found.report, RefundReported):
            return order
        return await order_of_charge(found.reference)

    async def take(request: web.Request) -> web.StreamResponse:
        signature = header_in(request, SIGNATURE)
        try:
            check_header(signature, settings.tolerance)
            event = verified(await read_body(request, MAX_EVENT), signature, secret, settings.tolerance)
            found = callback(event)
        except NotStripes:
            text = "The request has no valid Stripe signature."
            raise ProblemResponse(HTTPStatus.BAD_REQUEST, text, "bad_signature") from None
        except OddEvent as odd:
            if odd.id in refused:
                return json_response(Received(ignored=True))
            refused.append(odd.id)
            log.warning("event of an unknown shape", id=odd.id[:80])
            text = "The event does not have the shape that Stripe documents for its type."
            raise ProblemResponse(HTTPStatus.BAD_REQUEST, text, "odd_event") from None
        order = "" if found is None else found.order or await find_order(found)
        if found is None or not order:
            return json_response(Received(ignored=True))
        await api.submit(
            *(found.report, order),
            identity=found.id,
            actor="provider:stripe",
            store=found.store,
            occurred=found.created,
        )
        return json_response(Received())

    return take


@dataclass(frozen=True, slots=True)
class Callback:
    """An event of Stripe's that may be about one of our orders."""

    id: str
    order: str
    """As its metadata says; empty: the one with the charge `reference`."""
    store: str
    report: Report
    created: datetime
    reference: str = ""


def check_header(signature: str, tolerance: int) -> None:
    """Raises NotStripes for a header that cannot sign anything now: then the body is not even read."""
    found = _TIME.search(signature)
    if not (found and _SIGNATURE.search(signature) and time.time() - tolerance <= int(found[1])):
        raise NotStripes


def verified(payload: bytes, signature: str, secret: str, tolerance: int) -> Json:
    """The event of a signed request. `tolerance` in seconds. Raises NotStripes, OddEvent."""
    if not signature.isascii():  # as none of Stripe's is
        raise NotStripes
    try:
        stripe.WebhookSignature.verify_header(payload, signature, secret, tolerance)
    except (stripe.SignatureVerificationError, ValueError):
        raise NotStripes from None
    digest = hashlib.sha256(payload).hexdigest()
    try:
        event = orjson.loads(payload)
    except ValueError:
        raise OddEvent(digest) from None
    if not isinstance(event, dict):
        raise OddEvent(digest)
    kinds = {"id": str, "type": str, "created": int}
    sound = all(isinstance(event.get(name), kind) for name, kind in kinds.items()) and not has_nul(payload)
    if not sound or not 0 <= event["created"] < _YEAR_9999:
        raise OddEvent(event["id"] if isinstance(event.get("id"), str) else digest)
    return event


def callback(event: Json) -> Callback | None:
    """What an event reports, or None when it is not about one of our orders. Raises OddEvent."""
    try:
        found = _callback(event)
        if found is not None:
            _check(found.report)
        return found
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as odd:
        raise OddEvent(event["id"]) from odd


def _check(report: Report) -> None:
    """Raises ValueError or TypeError unless every field is of its type: the report is stored, and the core relies on
    it."""
    written = orjson.dumps(report, default=BaseModel.model_dump)
    if codec.load(type(report), written) != report:
        raise ValueError("a field of another type")
    if isinstance(report, ChargeReported):
        _check_amounts(report.result.amount, report.result.requested)
        url = report.result.url
        if url and not _URL.fullmatch(url):
            raise ValueError("no URL")
    if isinstance(report, VerificationReported):
        _check_amounts(report.result.held)
        if report.result.url and not _URL.fullmatch(report.result.url):
            raise ValueError("no URL")
    if isinstance(report, RefundReported):
        _check_amounts(report.result.amount)


def _check_amounts(*amounts: int) -> None:
    if any(type(amount) is not int or not 0 <= amount <= MAX_AMOUNT for amount in amounts):
        raise ValueError("an amount out of range")


def _callback(event: Json) -> Callback | None:
    thing = (event.get("data") or {}).get("object") or {}
    metadata = thing.get("metadata") or {}
    order, wrong = read_key(str(metadata.get("order", "")).encode())
    report = _report(event["type"], thing, metadata)
    if report is None:
        return None
    reference = reference_of(report)
    if wrong and not reference:
        return None
    return Callback(
        event["id"], "" if wrong else order, str(metadata.get("store", "")), report, created(event), reference
    )


def reference_of(report: ChargeReported | RefundReported | VerificationReported) -> str:
    """Of the charge or verification; empty where the report of a refund names none."""
    return report.result.charge if isinstance(report, RefundReported) else report.result.reference


def created(event: Json) -> datetime:
    """When Stripe created an event, to the second. It is the same in every repetition."""
    return datetime.fromtimestamp(event["created"], UTC)


def _report(type: str, thing: Json, metadata: Json) -> ChargeReported | RefundReported | VerificationReported | None:
    if type in REFUND_EVENTS:
        return RefundReported(str(metadata.get("refund", "")), refund_result(thing))
    if metadata.get("verification") and type != "payment_intent.succeeded":  # that one someone captured at Stripe
        return _verification_report(type, thing, str(metadata["verification"]))
    attempt = str(metadata.get("attempt") or "0")
    if not (attempt.isascii() and attempt.isdigit() and len(attempt) < 9):
        return None
    if type in INTENT_EVENTS:
        return ChargeReported(int(attempt), charge_result(thing))
    captured = type == "charge.succeeded" and thing.get("captured") and thing.get("payment_intent")
    return ChargeReported(int(attempt), captured_charge(thing)) if captured else None


def _verification_report(type: str, thing: Json, number: str) -> VerificationReported | None:
    sound = number.isascii() and number.isdigit() and len(number) < 9
    return (
        VerificationReported(int(number), verification_result(thing)) if sound and type in VERIFICATION_EVENTS else None
    )
