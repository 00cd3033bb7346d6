"""Course platforms: access granted and revoked by HTTP POST.

The platform gets the operation's id as `Idempotency-Key`, so a call can be repeated after a timeout. What it answers is
about this customer and product (409, 422: the item fails), or about our configuration (401, 403, a wrong URL: all calls
to this URL wait until that is fixed).
"""

from __future__ import annotations

import socket
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import orjson

from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Blocked, NoConnection, NotSent, Outbound, OutboundError, Response, retry_after
from shared.shell.observability.tracing import trace_headers

TIMEOUT = 15.0
"""Seconds for the whole call; less than the operations' own timeout, so that this one is reported."""
RETRIED = (408, 425, 429)
CORRECT_URL = "Correct the URL in the product, then retry the order with the latest configuration."
OPERATOR_FAULTS = {
    401: "The credentials are invalid. Correct them in the product's URL or on the platform.",
    403: "The credentials lack a permission. Grant it on the platform.",
    404: f"Nothing exists at this URL. {CORRECT_URL}",
    405: f"This URL does not accept POST. {CORRECT_URL}",
    407: "A proxy requires credentials. Allow the calls to pass.",
    410: f"The course is gone. {CORRECT_URL}",
}
"""What is wrong and what the operator has to fix, by status."""
ITEM_FAULTS = {
    400: ("bad_request", "It does not understand the request. Check that the URL is its access endpoint."),
    409: ("conflict", "It has a record that contradicts the request. Check the customer there, then retry the order."),
    422: ("rejected", "It rejects the customer or the product. Find the reason there, then retry the order."),
}
"""What is wrong with this item, by status: code and text."""


class AccessRequests(Protocol):
    """Where the gateway checks whether a call is still needed."""

    async def is_current(self, operation: GrantAccess | RevokeAccess) -> bool:
        """False when the item was cancelled, settled, or retried at another URL, so that waiting for a fix is useless.
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
        except Blocked as blocked:
            return OperatorFault(str(blocked))
        except NoConnection as error:
            return NotTried(str(error))
        except NotSent as error:
            if _wrong_address(error.__cause__):
                return OperatorFault(f"{error}. {CORRECT_URL}")
            return Retry(f"{error}. Check the URL, and that the course platform is running.")
        except OutboundError as error:
            return Unknown(str(error))
        return outcome_of(operation, reply)


def _wrong_address(error: BaseException | None) -> bool:
    """The host does not exist, or its certificate is for another one."""
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


def outcome_of(operation: GrantAccess | RevokeAccess, reply: Response) -> Outcome | NoOutcome:
    """What a reply means, and what staff can do about it. Its body is never kept: it may hold the platform's data."""
    answered = f"{urlsplit(operation.url).hostname} answered {reply.status}."
    if 200 <= reply.status < 300:
        return type(operation).Done()
    if reply.status == 410 and isinstance(operation, RevokeAccess):
        return RevokeAccess.Done()
    if reply.status >= 500 or reply.status in RETRIED:
        return Retry(f"{answered} The course platform is unavailable or busy. The call is retried.", retry_after(reply))
    if reply.status < 400:
        text = f"Redirects are not followed: configure the final URL. {CORRECT_URL}"
        return OperatorFault(f"{answered} {text}")
    if reply.status in OPERATOR_FAULTS:
        return OperatorFault(f"{answered} {OPERATOR_FAULTS[reply.status]}")
    code, text = ITEM_FAULTS.get(reply.status, ("rejected", "It rejects the request. Find the reason there."))
    return type(operation).Failed(code, f"{answered} {text}")
