"""Requests to Stripe through its SDK over aiohttp, each endpoint within its rate limit."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from typing import Any

import aiohttp

from services.payments.domain.operations import ChargeCard, FindCharge
from services.payments.gateways.stripe.errors import details_of, is_replayed
from services.payments.gateways.stripe.objects import Json, declined_thing, is_charge_of
from services.payments.gateways.stripe.sdk import stripe
from services.payments.gateways.stripe.settings import StripeSettings
from shared.shell.operations.rate_limit import LocalReservations, RateLimiter

EXPANDED = ["payment_method", "latest_charge.balance_transaction"]
"""Of an intent: its card, and what Stripe keeps of the charge."""
INTENTS, METHODS, REFUNDS = "/v1/payment_intents", "/v1/payment_methods", "/v1/refunds"
CONNECT_TIMEOUT = 5.0
NOT_MADE = ("failed", "canceled")
"""How refunds end that were not made."""


class UnreadError(Exception):
    """Something was made under this key before, and how it is now cannot be read."""


class NoTurnError(Exception):
    """No request was made: too many wait for their turn. Ask for another turn in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def json_of(answer: stripe.StripeResponse) -> Json:
    data: Any = answer.data
    body: Json = data
    return body


class StripeApi:
    """One connection pool per process. Methods raise stripe.StripeError, and NoTurnError.

    The SDK's own retries are off: the shell retries with the same key, counts the attempts and backs off, and a retry
    hidden in the SDK would only stretch one attempt beyond its timeout.
    """

    def __init__(self, settings: StripeSettings, limiter: RateLimiter | None = None) -> None:
        """`limiter`: shared by all workers; without one, the limit applies to this process only."""
        self._settings = settings
        self._http: stripe.AIOHTTPClient | None = None
        self._limiter = limiter or RateLimiter(LocalReservations(), settings.requests_per_second)
        stripe.enable_telemetry = False  # it would write an id for this machine into ~/.config
        # The SDK logs parameters at DEBUG.
        logging.getLogger("stripe").setLevel(logging.WARNING)

    @cached_property
    def _client(self) -> stripe.StripeClient:
        """Without a limit of connections: the operations in progress are limited already, and a call that times out
        while it waits for a connection would look like one whose response was lost."""
        settings = self._settings
        connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=stripe.ca_bundle_path))
        timeout = aiohttp.ClientTimeout(total=settings.timeout, sock_connect=CONNECT_TIMEOUT)
        self._http = stripe.AIOHTTPClient(timeout=timeout, connector=connector)
        return stripe.StripeClient(
            settings.api_key.get_secret_value(),
            http_client=self._http,
            base_addresses={"api": settings.api_base},
            max_network_retries=0,
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK has no types here

    async def call(self, method: str, path: str, params: Mapping[str, Any], *, of: str = "") -> Json:
        """One request, within its endpoint's rate limit; `{}` in the path stands for `of`.

        The SDK's raw request does the same as its typed methods, except for turning the response into objects, which
        takes half of the CPU time: 0.86 ms per charge with objects, 0.44 ms without (2.9 ms with HTTPX and objects).
        """
        return json_of(await self._request(method, path, params, of=of))

    async def make(self, path: str, params: Mapping[str, Any], key: str) -> Json:
        """Make something, once under this key, and return it as it is now. To a key that was used before Stripe repeats
        its first answer, whatever happened to the thing since; then it is read again. Raises UnreadError, too.

        Source: https://docs.stripe.com/api/idempotent_requests.
        """
        try:
            answer = await self._request("post", path, params, key=key)
        except stripe.CardError as declined:
            if not (is_replayed(declined.headers) and (id := declined_thing(details_of(declined)))):
                raise
            return await self._again(path, id, params)
        made = json_of(answer)
        return await self._again(path, made["id"], params) if is_replayed(answer.headers) else made

    async def _again(self, path: str, id: str, params: Mapping[str, Any]) -> Json:
        expanded = {"expand": params["expand"]} if "expand" in params else {}
        try:
            return await self.call("get", path + "/{}", expanded, of=id)
        except (stripe.StripeError, NoTurnError, aiohttp.ClientError, TimeoutError, OSError) as unread:
            raise UnreadError(id) from unread

    async def _request(
        self, method: str, path: str, params: Mapping[str, Any], *, of: str = "", key: str = ""
    ) -> stripe.StripeResponse:
        if (seconds := await self._limiter.acquire(f"stripe {method} {path}")) > 0:
            raise NoTurnError(seconds)
        options = {"idempotency_key": key} if key else {}
        answer: stripe.StripeResponse = await self._client.raw_request_async(
            method, path.format(of), **options, **params
        )
        return answer

    async def every(self, path: str, params: Mapping[str, Any]) -> AsyncIterator[Json]:
        """A whole list, newest first, page by page."""
        wanted = {**params, "limit": 100}
        while True:
            page = await self.call("get", path, wanted)
            for one in page["data"]:
                yield one
            if not page.get("has_more"):
                return
            wanted["starting_after"] = page["data"][-1]["id"]

    async def intent(self, id: str) -> Json:
        return await self.call("get", INTENTS + "/{}", {"expand": EXPANDED}, of=id)

    async def intent_of(self, charge: ChargeCard | FindCharge, since: float) -> Json | None:
        """An attempt's intent, from the list of all made since a time (Unix seconds); unlike a search, it never lags
        behind. One that succeeded takes precedence."""
        best: Json | None = None
        async for intent in self.every(INTENTS, {"created": {"gte": int(since)}}):
            if not is_charge_of(intent, charge):
                continue
            if best is None or intent["status"] == "succeeded":
                best = intent
        return await self.intent(best["id"]) if best else None

    async def refund_of(self, intent: str, refund: str, reference: str = "") -> Json | None:
        """The latest with our id in its metadata. Where there is none, or it was not made: the one with this reference,
        unless we made it as another one."""
        named: Json | None = None
        ours: Json | None = None
        async for one in self.every(REFUNDS, {"payment_intent": intent}):
            whose = (one.get("metadata") or {}).get("refund")
            if whose == refund and ours is None:
                ours = one
            elif one["id"] == reference and not whose:
                named = one
            if ours and (named or not reference or ours.get("status") not in NOT_MADE):
                break
        return named if named and (ours is None or ours.get("status") in NOT_MADE) else ours
