"""What an answer over HTTP means for the item, and what staff can do about it: the same for all calls."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from shared.core import NoOutcome, NotTried, OperatorFault, Outcome, Retry, Unknown
from shared.shell.http.outbound import Blocked, NoConnection, NotSent, OutboundError, Response, retry_after

RETRIED = (408, 425, 429)
CORRECT_URL = "Correct the URL in the product, then retry the order with the latest configuration."
OPERATOR_FAULTS = {
    401: "The credentials are invalid. Correct them in the product's {credentials} or on the platform.",
    403: "The credentials lack a permission. Grant it on the platform.",
    404: f"Nothing exists at this URL. {CORRECT_URL}",
    405: f"This URL does not accept {{method}}. {CORRECT_URL}",
    407: "A proxy requires credentials. Allow the calls to pass.",
    410: f"The {{subject}} is gone. {CORRECT_URL}",
}
"""What is wrong and what the operator has to fix, by status."""
ITEM_FAULTS = {
    400: ("bad_request", "It does not understand the request. Check {check}."),
    409: ("conflict", "It has a record that contradicts the request. Check the customer there, then retry the order."),
    422: ("rejected", "It rejects the customer or the product. Find the reason there, then retry the order."),
}
"""What is wrong with this item, by status: code and text."""
OTHER_FAULT = ("rejected", "It rejects the request. Find the reason there.")
OF_ORDER = {
    404: ("not_found", "It does not know what the URL names for this order. Check it there, then retry the order."),
    410: ("gone", "What the URL names for this order is gone. Check it there, then deliver by hand."),
}
"""Where fields of the order are part of the path."""


def not_answered(error: OutboundError, receiver: str) -> NoOutcome:
    """`receiver`: who did not answer, for staff."""
    match error:
        case Blocked():
            return OperatorFault(str(error))
        case NoConnection():
            return NotTried(str(error))
        case NotSent() if _is_wrong_address(error.__cause__):
            return OperatorFault(f"{error}. {CORRECT_URL}")
        case NotSent():
            return Retry(f"{error}. Check the URL, and that the {receiver} is running.")
    return Unknown(str(error))


def _is_wrong_address(error: BaseException | None) -> bool:
    """The host does not exist, or its certificate is for another one."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return isinstance(error.os_error, socket.gaierror) and error.os_error.errno != socket.EAI_AGAIN
    return isinstance(error, aiohttp.ClientConnectorCertificateError)


def answered(url: str, reply: Response) -> str:
    return f"{urlsplit(url).hostname} answered {reply.status}."


def no_success(
    url: str,
    reply: Response,
    failed: type[Outcome],
    *,
    receiver: str,
    words: dict[str, str],
    of_order: bool = False,
    shown: str = "",
) -> Outcome | NoOutcome:
    """Of an answer outside 200 to 299. `words` fill in the texts; `of_order`: the path names something of the order;
    `shown`: how the answer begins, if staff may see it. The body itself is never kept: it may hold what is secret."""
    said = f"{answered(url, reply)}{shown}"
    status = reply.status
    if status >= 500 or status in RETRIED:
        return Retry(f"{said} The {receiver} is unavailable or busy. The call is retried.", retry_after(reply))
    if status < 400:
        return OperatorFault(f"{said} Redirects are not followed: configure the final URL. {CORRECT_URL}")
    if status in OPERATOR_FAULTS and not (of_order and status in OF_ORDER):
        return OperatorFault(f"{said} {OPERATOR_FAULTS[status].format_map(words)}")
    code, text = OF_ORDER.get(status) or ITEM_FAULTS.get(status, OTHER_FAULT)
    make: type[Any] = failed
    outcome: Outcome = make(code, f"{said} {text.format_map(words)}")
    return outcome
