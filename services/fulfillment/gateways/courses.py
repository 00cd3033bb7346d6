"""Course platforms: access granted and revoked by HTTP POST.

The platform gets the operation's id as `Idempotency-Key`, so repeating after a time-out is right. What it answers is
about this customer and product (409, 422: the item fails), or about how we are set up (401, 403, a wrong URL: all calls
to this URL wait until that is mended).
"""

from __future__ import annotations

import socket
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import orjson

from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Blocked, NotSent, NoTurn, Outbound, OutboundError, Reply, retry_after
from shared.shell.observability.tracing import trace_headers

TIMEOUT = 15.0
"""Seconds for everything; below the operations' patience, so that a time-out is an answer of ours."""
TRY_AGAIN = (408, 425, 429)
MEND = {
    401: "the credentials are wrong; set them in the product's URL or on the platform",
    403: "the credentials lack the permission; grant it on the platform",
    404: "there is nothing at this URL; correct it in the product, then retry the order",
    405: "this URL takes no POST; correct it in the product, then retry the order",
    407: "a proxy wants credentials; let the calls through",
    410: "the course is gone; correct the URL in the product, then retry the order",
}
"""What the operator has to mend, by status."""
REMEDIES = {
    400: ("bad_request", "it does not understand the request; check that the URL is its access endpoint"),
    409: ("conflict", "it holds something that contradicts this; look at the customer there, then retry"),
    422: ("rejected", "it rejects the customer or the product; look there for the reason, then retry"),
}
"""What the answers that are about this item mean."""


class WantedBook(Protocol):
    """Where the gateway asks whether a call is still wanted."""

    async def wants(self, operation: GrantAccess | RevokeAccess) -> bool:
        """False when the item was called off, settled, or retried at another URL: nobody will mend this one for it.
        True when that cannot be read."""
        ...


class Courses:
    """Gateway of GrantAccess and RevokeAccess."""

    def __init__(self, outbound: Outbound, wanted: WantedBook, timeout: float = TIMEOUT) -> None:
        self._outbound = outbound
        self._wanted = wanted
        self._timeout = timeout

    async def perform(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NoOutcome:
        answer = await self._post(operation, key)
        if isinstance(answer, OperatorFault) and not await self._wanted.wants(operation):
            return type(operation).Failed("called_off", f"not tried any further: {answer.text}")
        return answer

    async def find(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NotDone | NoOutcome:
        return Unknown("the course platform cannot be asked what it did")

    async def close(self) -> None:
        await self._outbound.close()

    async def _post(self, operation: GrantAccess | RevokeAccess, key: str) -> Outcome | NoOutcome:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **trace_headers()}
        try:
            reply = await self._outbound.post(operation.url, body_of(operation), headers, timeout=self._timeout)
        except Blocked as blocked:
            return OperatorFault(str(blocked))
        except NoTurn as error:
            return NotTried(str(error))
        except NotSent as error:
            if _wrong_address(error.__cause__):
                return OperatorFault(f"{error}; correct the URL in the product, then retry the order")
            return Retry(f"{error}; check that the course platform is up and its URL right")
        except OutboundError as error:
            return Unknown(str(error))
        return judged(operation, reply)


def _wrong_address(error: BaseException | None) -> bool:
    """There is no such host, or its certificate is for another one."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return isinstance(error.os_error, socket.gaierror) and error.os_error.errno != socket.EAI_AGAIN
    return isinstance(error, aiohttp.ClientConnectorCertificateError)


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


def judged(operation: GrantAccess | RevokeAccess, reply: Reply) -> Outcome | NoOutcome:
    """What an answer means, and what staff can do about it. Its body is never kept: it is the platform's."""
    who = f"{urlsplit(operation.url).hostname} answers {reply.status}"
    if 200 <= reply.status < 300:
        return type(operation).Done()
    if reply.status == 410 and isinstance(operation, RevokeAccess):
        return RevokeAccess.Done()
    if reply.status >= 500 or reply.status in TRY_AGAIN:
        return Retry(f"{who}: the course platform is down or busy; it is tried again", retry_after(reply))
    if reply.status < 400:
        return OperatorFault(
            f"{who}: redirects are not followed; set the final URL in the product, then retry the order"
        )
    if reply.status in MEND:
        return OperatorFault(f"{who}: {MEND[reply.status]}")
    code, remedy = REMEDIES.get(reply.status, ("rejected", "it rejects the request; look there for the reason"))
    return type(operation).Failed(code, f"{who}: {remedy}")
