"""Course platforms: access granted and revoked by HTTP POST.

The platform gets the operation's id as `Idempotency-Key`, so repeating after a time-out is right.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson

from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from shared.outbound import Blocked, NotSent, Outbound, OutboundError, Reply, retry_after
from shared.shell.core import NotDone, Outcome, Retry, Unknown
from shared.shell.tracing import trace_headers

TIMEOUT = 15.0
"""Seconds for everything; below the operations' patience, so that a time-out is an answer of ours."""
TRY_AGAIN = (408, 425, 429)

REMEDIES = {
    400: ("bad_request", "it does not understand the request; check that the URL is its access endpoint"),
    401: ("unauthorized", "the credentials are wrong; set them in the URL or on the platform, then retry"),
    403: ("forbidden", "the credentials lack the permission for this course; grant it on the platform, then retry"),
    404: ("not_found", "there is nothing at this URL; correct it in the product, then retry"),
    405: ("not_found", "this URL takes no POST; correct it in the product, then retry"),
    409: ("conflict", "it holds something that contradicts this; look at the customer there, then retry"),
    410: ("not_found", "the course is gone; correct the URL in the product, then retry"),
    422: ("rejected", "it rejects the customer or the product; look there for the reason, then retry"),
}


class Courses:
    """Gateway of GrantAccess and RevokeAccess."""

    def __init__(self, outbound: Outbound, timeout: float = TIMEOUT) -> None:
        self._outbound = outbound
        self._timeout = timeout

    async def perform(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | Retry | Unknown:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **trace_headers()}
        try:
            reply = await self._outbound.post(operation.url, body_of(operation), headers, timeout=self._timeout)
        except Blocked as blocked:
            return type(operation).Failed("blocked_address", str(blocked))
        except NotSent as error:
            return Retry(f"{error}; check that the course platform is up and its URL right")
        except OutboundError as error:
            return Unknown(str(error))
        return judged(operation, reply)

    async def find(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NotDone | Unknown:
        return NotDone()

    async def close(self) -> None:
        await self._outbound.close()


def body_of(operation: GrantAccess | RevokeAccess) -> bytes:
    customer = operation.customer
    return orjson.dumps(
        {
            "order": operation.order,
            "item": operation.item,
            "customer": customer.email if customer else None,
            "name": customer.name if customer else None,
            "product": operation.product,
            "quantity": operation.quantity,
            "grant": isinstance(operation, GrantAccess),
        }
    )


def judged(operation: GrantAccess | RevokeAccess, reply: Reply) -> Outcome | Retry:
    """What an answer means, and what staff can do about it. Its body is never kept: it is the platform's."""
    who = f"{urlsplit(operation.url).hostname} answers {reply.status}"
    if 200 <= reply.status < 300:
        return type(operation).Done()
    if reply.status == 410 and isinstance(operation, RevokeAccess):
        return RevokeAccess.Done()
    if reply.status >= 500 or reply.status in TRY_AGAIN:
        return Retry(f"{who}: the course platform is down or busy; retry when it works again", retry_after(reply))
    if reply.status < 400:
        return type(operation).Failed("redirected", f"{who}: redirects are not followed; use the final URL, then retry")
    code, remedy = REMEDIES.get(reply.status, ("rejected", "it rejects the request; look there for the reason"))
    return type(operation).Failed(code, f"{who}: {remedy}")
