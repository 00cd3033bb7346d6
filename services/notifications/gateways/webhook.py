"""Webhooks by HTTP POST, signed by Standard Webhooks 1.0 (symmetric, `v1`).

Receivers know a repetition by its `webhook-id`, so a call whose answer is lost is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from services.notifications.domain.endpoint import Endpoint
from services.notifications.domain.operations import PostWebhook
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Blocked, NoConnection, NoResponse, Outbound, OutboundError, Response, retry_after
from shared.shell.http.signatures import signature_headers
from shared.shell.observability.tracing import trace_headers

TIMEOUT = 9.0
"""Seconds for everything; less than PostWebhook.timeout, so that the gateway itself reports a time-out."""


class EndpointsUnreadable(Exception):
    """The endpoints cannot be read right now."""


class EndpointBook(Protocol):
    """Where the gateway finds an endpoint, just before it posts."""

    async def find(self, store: str, endpoint: str) -> Endpoint | None:
        """None when it was removed. Raises EndpointsUnreadable."""
        ...


class Webhooks:
    """Performs PostWebhook. 2xx means delivered, 410 that the endpoint is gone; anything else is retried. An endpoint
    is not ours, so its answer is never the operator's fault."""

    def __init__(
        self,
        outbound: Outbound,
        book: EndpointBook,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbound = outbound
        self._book = book
        self._timeout = timeout
        self._clock = clock

    async def perform(self, operation: PostWebhook, key: str) -> Outcome | NoOutcome:
        try:
            endpoint = await self._book.find(operation.store, operation.endpoint)
        except EndpointsUnreadable:
            return NotTried("The endpoint's settings cannot be read right now.")
        if endpoint is None:
            return PostWebhook.Failed("removed", "The endpoint was removed.")
        if endpoint.paused:
            return PostWebhook.Failed("paused", "The endpoint is paused.")
        return await self._post(operation, endpoint)

    async def find(self, operation: PostWebhook, key: str) -> Outcome | NotDone | NoOutcome:
        return Unknown("The endpoint did not confirm that it accepted the event.")

    async def close(self) -> None:
        await self._outbound.close()

    async def _post(self, operation: PostWebhook, endpoint: Endpoint) -> Outcome | NoOutcome:
        body = operation.payload.encode()
        timestamp = int(self._clock())
        headers = {
            "Content-Type": "application/json",
            **signature_headers(endpoint.secret, operation.message_id, timestamp, body),
            **trace_headers(),
        }
        try:
            reply = await self._outbound.post(endpoint.url, body, headers, timeout=self._timeout)
        except Blocked as wrong:
            return OperatorFault(f"Webhook endpoint {operation.endpoint}: {wrong}.")
        except NoConnection as error:
            return NotTried(str(error))
        except NoResponse as error:
            return Unknown(str(error))
        except OutboundError as error:
            return Retry(str(error))
        return outcome_of(reply)


def outcome_of(reply: Response) -> Outcome | Retry:
    """What a reply means. Its body is never kept."""
    if 200 <= reply.status < 300:
        return PostWebhook.Done(reply.status)
    if reply.status == 410:
        return PostWebhook.Failed("gone", "The endpoint answered 410 Gone and was paused.")
    if 300 <= reply.status < 400:
        return Retry(f"HTTP {reply.status}: redirects are not followed. Register the final URL.")
    after = retry_after(reply) if reply.status in (429, 503) else None
    return Retry(f"HTTP {reply.status}", after or None)
