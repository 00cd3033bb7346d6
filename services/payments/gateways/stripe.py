"""Stripe: charges, cancellations and refunds through its SDK, with a closed set of outcomes.

    answer                                    outcome
    card error (402)                          Failed, with the decline code
    429, 409 (key in use), cannot connect     Retry: certainly not done
    connection lost, time-out, 5xx            Unknown
    anything else that Stripe refuses         Failed, with what to fix

Idempotency: an operation's id is its key, so asking again within a day is safe and gives the first answer. Stripe
also keeps its 5xx answers under the key: when one is replayed, and nothing is found in Stripe's books, the call is
made under a key derived from the first.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import aiohttp
import stripe
from stripe.params import PaymentIntentCreateParams, RefundCreateParams

from services.payments.domain.operations import CancelIntent, ChargeCard, FindIntent, FindRefund, RefundCharge
from services.payments.gateways.limits import Breaker, Pace
from services.payments.gateways.stripe_objects import Json, Standing, decline, refund_progress, standing
from shared.settings import StripeSettings
from shared.shell.core import NotDone, Operation, Outcome, Retry, Unknown

Found = TypeVar("Found", bound=Outcome | NotDone)
INTENTS, METHODS, REFUNDS = "/v1/payment_intents", "/v1/payment_methods", "/v1/refunds"
CALLED_OFF = {"cancellation_reason": "abandoned"}
KEYS_LIVE = 23 * 3600
"""Seconds. Stripe forgets idempotency keys after 24 hours: https://docs.stripe.com/api/idempotent_requests."""
KEYS_PER_OPERATION = 3
CLOCKS_DIFFER = 300
"""Seconds that our clock and Stripe's may be apart."""
DESCRIPTOR_LENGTH = 22
DESCRIPTOR_FORBIDDEN = str.maketrans("", "", "<>\\'\"*")
STRIPE_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
CONNECT_TIMEOUT = 5.0
WHAT_TO_FIX = {
    401: "Stripe does not accept the API key: check ORDERBUS_STRIPE__API_KEY.",
    403: "The API key may not do this: give it the permission in Stripe's dashboard.",
}


class StripeGateway:
    """Performs every operation of payments at Stripe. Amounts in minor units. One connection pool per process.

    The SDK's own retries are off: the shell retries with the same key, counts the attempts and backs off, and a retry
    hidden in the SDK would only stretch one attempt beyond its patience.
    """

    def __init__(self, settings: StripeSettings, *, breaker: Breaker | None = None) -> None:
        timeout = aiohttp.ClientTimeout(total=settings.timeout, sock_connect=CONNECT_TIMEOUT)
        self._http = stripe.AIOHTTPClient(timeout=timeout)
        self._client = stripe.StripeClient(
            settings.api_key.get_secret_value(),
            http_client=self._http,
            base_addresses={"api": settings.api_base},
            max_network_retries=0,
        )
        self._pace = Pace(settings.requests_per_second)
        self._breaker = breaker or Breaker()
        stripe.enable_telemetry = False  # it would write an id for this machine into ~/.config
        # The SDK logs parameters at DEBUG.
        logging.getLogger("stripe").setLevel(logging.WARNING)

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK has no types here

    async def call(self, method: str, path: str, params: Mapping[str, Any], *, of: str = "", key: str = "") -> Json:
        """One request, when it is its endpoint's turn; `{}` in the path stands for `of`. Raises stripe.StripeError.

        The SDK's raw request does the same as its typed methods but for turning the answer into objects, which takes
        as much CPU as all the rest: 0.86 ms a charge with them, 0.44 ms without (2.9 ms with HTTPX and objects).
        """
        await self._pace.turn(f"{method} {path}")
        options = {"idempotency_key": key} if key else {}
        answer = await self._client.raw_request_async(method, path.format(of), **options, **params)
        data: Json = answer.data
        return data

    async def every(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[Json]:
        """A whole list of Stripe's, newest first, page by page. Raises stripe.StripeError."""
        wanted = {**params, "limit": 100}
        while True:
            page = await self.call("get", path, wanted)
            for one in page["data"]:
                yield one
            if not page.get("has_more"):
                return
            wanted["starting_after"] = page["data"][-1]["id"]

    # The port

    async def perform(self, operation: Operation, key: str) -> Outcome | Retry | Unknown:
        match operation:
            case ChargeCard():
                return await self._guarded(ChargeCard.Failed, lambda: self._charge(operation, key))
            case CancelIntent():
                return await self._guarded(CancelIntent.Failed, lambda: self._cancel(operation))
            case RefundCharge():
                return await self._guarded(RefundCharge.Failed, lambda: self._refund(operation, key))
            case FindIntent():
                return await self._guarded(FindIntent.Failed, lambda: self._find_intent(operation))
            case FindRefund():
                return await self._guarded(FindRefund.Failed, lambda: self._find_refund(operation))
        raise TypeError(f"Stripe cannot perform {type(operation).__qualname__}")

    async def find(self, operation: Operation, key: str) -> Outcome | NotDone | Unknown:
        """A charge asked for again under its key is answered as the first time, as long as Stripe knows the key; after
        that its books are searched. A refund is looked for among its intent's. The rest can simply be done again."""
        match operation:
            case ChargeCard() if _age(key) > KEYS_LIVE:
                answer = await self._guarded(_doubt, lambda: self._charge_on_record(operation))
            case RefundCharge():
                answer = await self._guarded(_doubt, lambda: self._refund_on_record(operation))
            case _:
                return NotDone()
        if isinstance(answer, Retry):
            return Unknown(answer.error)
        return answer

    async def _guarded(
        self, failed: Callable[[str, str], Outcome | Unknown], call: Callable[[], Awaitable[Found]]
    ) -> Found | Outcome | Retry | Unknown:
        """Make a call unless Stripe is down, and turn every way to fail into an outcome."""
        if wait := self._breaker.wait():
            return Retry("Stripe does not answer; calls to it are paused.", after=wait)
        try:
            answer = await call()
        except stripe.StripeError as error:
            return self._failure(error, failed)
        except (aiohttp.ClientError, TimeoutError, OSError) as lost:
            self._breaker.failed()
            return Unknown(f"The connection to Stripe was lost ({type(lost).__name__}).")
        self._breaker.succeeded()
        return answer

    def _failure(
        self, error: stripe.StripeError, failed: Callable[[str, str], Outcome | Unknown]
    ) -> Outcome | Retry | Unknown:
        status = error.http_status or 0
        if isinstance(error, stripe.APIConnectionError):
            self._breaker.failed()
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                return Retry("Stripe cannot be reached: check the network and ORDERBUS_STRIPE__API_BASE.")
            return Unknown(f"The connection to Stripe was lost ({type(error.__cause__).__name__}).")
        if status >= 500 or status == 0:
            self._breaker.failed()
            return Unknown(f"Stripe answered {status} (request {error.request_id}).")
        self._breaker.succeeded()
        if status in (409, 429):
            return Retry(f"Stripe answered {status}: {error.code or 'rate_limit'}.", after=_retry_after(error))
        if isinstance(error, stripe.IdempotencyError):
            return Unknown(f"Another call was made under this key (request {error.request_id}).")
        text = WHAT_TO_FIX.get(status) or f"{error.user_message or 'Stripe refused the request.'}"[:500]
        return failed(error.code or type(error).__name__, text)

    # Calls

    async def _charge(self, charge: ChargeCard, key: str) -> Outcome:
        async def create(key: str) -> Json:
            return await self.call("post", INTENTS, _charge_params(charge, method), key=key)

        try:
            method = charge.payment_method or await self._method_of(charge.token, key)
            found = await self._with_keys(create, key, lambda: self._listed(charge, key))
        except stripe.CardError as declined:
            return _declined(declined)
        return _charge_outcome(standing(found))

    async def _method_of(self, token: str, key: str) -> str:
        """The payment method of a card token: an intent takes no token. A token works once, hence the key."""

        async def create(key: str) -> Json:
            return await self.call("post", METHODS, {"type": "card", "card": {"token": token}}, key=key)

        async def nothing_to_find() -> None:
            return None

        return str((await self._with_keys(create, f"{key}.method", nothing_to_find))["id"])

    async def _with_keys(
        self, call: Callable[[str], Awaitable[Json]], key: str, look: Callable[[], Awaitable[Json | None]]
    ) -> Json:
        """Call under `key`; where only an old server error is replayed, look, and then call under the next key."""
        for number in range(1, KEYS_PER_OPERATION + 1):
            try:
                return await call(key if number == 1 else f"{key}.{number}")
            except stripe.APIError as error:
                if not _is_replayed(error) or number == KEYS_PER_OPERATION:
                    raise
                if found := await _found(look, error):
                    return found
        raise AssertionError("the last key's answer is returned or raised")

    async def _cancel(self, cancel: CancelIntent) -> Outcome:
        """Cancelling twice does no harm, so it needs no key."""
        try:
            intent = await self.call("post", INTENTS + "/{}/cancel", CALLED_OFF, of=cancel.intent)
        except stripe.InvalidRequestError as error:
            if error.code != "payment_intent_unexpected_state":
                raise
            intent = await self._retrieve(cancel.intent)
        said = standing(intent)
        if said.status == "succeeded":
            return CancelIntent.Done("succeeded", said.amount, said.card)
        if said.status == "cancelled":
            return CancelIntent.Done("cancelled")
        return CancelIntent.Failed("unexpected_state", f"The payment is {intent['status']} at Stripe; look there.")

    async def _refund(self, refund: RefundCharge, key: str) -> Outcome:
        async def create(key: str) -> Json:
            return await self.call("post", REFUNDS, _refund_params(refund), key=key)

        made = await self._with_keys(create, key, lambda: self._refund_of(refund.intent, refund.refund))
        status, code = refund_progress(made)
        return RefundCharge.Done(made["id"], status, code)

    # Looking

    async def _find_intent(self, wanted: FindIntent) -> Outcome:
        if wanted.intent:
            intent: Json | None = await self._retrieve(wanted.intent)
        else:
            intent = await self._search(wanted.order, wanted.attempt)
        if intent is None:
            return FindIntent.Done("", "failed", code="not_charged", text="Stripe has no such payment.")
        said = standing(intent)
        return FindIntent.Done(said.intent, said.status, said.amount, said.url, said.card, said.code, said.text)

    async def _find_refund(self, wanted: FindRefund) -> Outcome:
        found = await self._refund_of(wanted.intent, wanted.refund)
        if found is None:
            return FindRefund.Done("", "failed", "not_refunded")
        status, code = refund_progress(found)
        return FindRefund.Done(found["id"], status, code)

    async def _charge_on_record(self, charge: ChargeCard) -> Outcome | NotDone:
        found = await self._search(charge.order, charge.attempt)
        return _charge_outcome(standing(found)) if found else NotDone()

    async def _refund_on_record(self, refund: RefundCharge) -> Outcome | NotDone:
        found = await self._refund_of(refund.intent, refund.refund)
        if found is None:
            return NotDone()
        status, code = refund_progress(found)
        return RefundCharge.Done(found["id"], status, code)

    async def _retrieve(self, intent: str) -> Json:
        return await self.call("get", INTENTS + "/{}", {"expand": ["payment_method"]}, of=intent)

    async def _search(self, order: str, attempt: int) -> Json | None:
        """By metadata. Stripe's index follows its books by up to a minute; a callback corrects what this misses."""
        query = f"metadata['order']:'{order}' AND metadata['attempt']:'{attempt}'"
        intents = (await self.call("get", INTENTS + "/search", {"query": query}))["data"]
        best = sorted(intents, key=lambda intent: intent["status"] != "succeeded")
        return await self._retrieve(best[0]["id"]) if best else None

    async def _listed(self, charge: ChargeCard, key: str) -> Json | None:
        """Of the intents made since the operation was wanted. Slower than a search, but it never lags behind."""
        since = int(time.time() - _age(key)) - CLOCKS_DIFFER
        async for intent in self.every(INTENTS, {"created": {"gte": since}}):
            metadata = intent.get("metadata") or {}
            if metadata.get("order") == charge.order and metadata.get("attempt") == str(charge.attempt):
                return await self._retrieve(intent["id"])
        return None

    async def _refund_of(self, intent: str, refund: str) -> Json | None:
        async for one in self.every(REFUNDS, {"payment_intent": intent}):
            if (one.get("metadata") or {}).get("refund") == refund:
                return one
        return None


async def _found(look: Callable[[], Awaitable[Json | None]], doubt: stripe.APIError) -> Json | None:
    """What a look into the books shows; when they cannot be read, the doubt remains."""
    try:
        return await look()
    except stripe.StripeError:
        raise doubt from None


def _doubt(code: str, text: str) -> Unknown:
    """A look that Stripe refuses tells nothing about what was looked for."""
    return Unknown(f"{code}: {text}")


def _charge_params(charge: ChargeCard, method: str) -> PaymentIntentCreateParams:
    params: PaymentIntentCreateParams = {
        "amount": charge.amount,
        "currency": charge.currency.lower(),
        "confirm": True,
        "payment_method": method,
        "return_url": charge.return_url,
        "description": f"Order {charge.number}",
        "metadata": {
            "order": charge.order,
            "number": charge.number,
            "attempt": str(charge.attempt),
            "store": charge.store,
        },
        "expand": ["payment_method"],
    }
    if suffix := _descriptor(charge.descriptor):
        params["statement_descriptor_suffix"] = suffix
    return params


def _descriptor(text: str) -> str:
    """What Stripe takes as a suffix: https://docs.stripe.com/get-started/account/statement-descriptors."""
    printable = "".join(letter for letter in text.translate(DESCRIPTOR_FORBIDDEN) if " " <= letter <= "~")
    suffix = printable[:DESCRIPTOR_LENGTH].strip()
    return suffix if any(letter.isalpha() for letter in suffix) else ""


def _refund_params(refund: RefundCharge) -> RefundCreateParams:
    params: RefundCreateParams = {
        "payment_intent": refund.intent,
        "amount": refund.amount,
        "metadata": {"order": refund.order, "refund": refund.refund, "store": refund.store},
    }
    if refund.reason in STRIPE_REASONS:
        reason: Any = refund.reason
        params["reason"] = reason
    return params


def _charge_outcome(said: Standing) -> ChargeCard.Done | ChargeCard.Failed:
    if said.status == "failed":
        return ChargeCard.Failed(said.code, said.text, said.intent, said.card)
    return ChargeCard.Done(said.intent, said.status, said.amount, said.url, said.card)


def _declined(error: stripe.CardError) -> ChargeCard.Failed:
    body = error.json_body
    told: Json = body.get("error", {}) if isinstance(body, dict) else {}
    code, text, card = decline(told)
    return ChargeCard.Failed(code, text, str((told.get("payment_intent") or {}).get("id", "")), card)


def _is_replayed(error: stripe.StripeError) -> bool:
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    return headers.get("idempotent-replayed") == "true"


def _retry_after(error: stripe.StripeError) -> float | None:
    """Seconds, from the header `Retry-After`; at most ten minutes."""
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    try:
        return min(max(float(headers["retry-after"]), 0.0), 600.0)
    except (KeyError, ValueError):
        return None


def _age(key: str) -> float:
    """Seconds since an operation was wanted: its id is a UUIDv7. 0 for any other key."""
    try:
        id = UUID(key)
    except ValueError:
        return 0.0
    return time.time() - (id.int >> 80) / 1000 if id.version == 7 else 0.0
