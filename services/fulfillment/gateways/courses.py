"""Course platforms: access granted and revoked by HTTP POST.

The platform gets the operation's id as `Idempotency-Key`, so a call can be repeated after a timeout. What it answers is
about this customer and product (409, 422: the item fails), or about our configuration (401, 403, a wrong URL: all calls
to this URL wait until that is fixed).
"""

from __future__ import annotations

from typing import Protocol

import orjson

from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from services.fulfillment.gateways.answers import no_success, not_answered
from shared.core import NoOutcome, NotDone, OperatorFault, Outcome, Unknown
from shared.shell.http.outbound import Outbound, OutboundError, Response
from shared.shell.observability.tracing import trace_headers

TIMEOUT = 15.0
"""Seconds for the whole call; less than the operations' own timeout, so that this one is reported."""
RECEIVER = "course platform"
WORDS = {
    "credentials": "URL",
    "method": "POST",
    "subject": "course",
    "check": "that the URL is its access endpoint",
}


class AccessRequests(Protocol):
    """Where the gateway checks whether a call is still needed."""

    async def is_current(self, operation: AccessOperation) -> bool:
        """False when the item was cancelled, settled, or retried in another way, so that waiting for a fix is useless.
        True when that cannot be read."""
        ...


class Courses:
    """Gateway of GrantAccess and RevokeAccess."""

    def __init__(self, outbound: Outbound, requests: AccessRequests, timeout: float = TIMEOUT) -> None:
        self._outbound = outbound
        self._requests = requests
        self._timeout = timeout

    async def perform(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NoOutcome:
        result = await self._post(operation, key)
        if isinstance(result, OperatorFault) and not await self._requests.is_current(operation):
            return type(operation).Failed("not_needed", f"Not retried, since it is no longer needed. {result.text}")
        return result

    async def find(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NotDone | NoOutcome:
        return Unknown("The course platform cannot be asked about earlier calls.")

    async def close(self) -> None:
        await self._outbound.close()

    async def _post(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NoOutcome:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **trace_headers()}
        try:
            reply = await self._outbound.post(operation.url, body_of(operation), headers, timeout=self._timeout)
        except OutboundError as error:
            return not_answered(error, RECEIVER)
        return outcome_of(operation, reply)


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


def outcome_of(operation: GrantAccess | RevokeAccess, reply: Response) -> Outcome | NoOutcome:
    """What a reply means, and what staff can do about it. Its body is never kept: it may hold the platform's data."""
    if 200 <= reply.status < 300 or (reply.status == 410 and isinstance(operation, RevokeAccess)):
        return type(operation).Done()
    return no_success(operation.url, reply, type(operation).Failed, receiver=RECEIVER, words=WORDS)
