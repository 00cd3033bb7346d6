"""HTTP actions: calls that staff set up, with the order's fields filled in.

The receiver gets the operation's id as `Idempotency-Key`, so a call can be repeated after a timeout. Secrets are read
just before the call, and stand in no message, log or text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson
from pydantic import JsonValue

from services.fulfillment.domain.kinds.access import AccessOperation
from services.fulfillment.domain.kinds.http_action import CallHttpAction, HttpOperation, RevokeHttpAction
from services.fulfillment.gateways.answers import answered, no_success, not_answered
from services.fulfillment.gateways.asked_secrets import asked
from services.fulfillment.gateways.courses import AccessRequests
from services.fulfillment.gateways.shown_answers import excerpt
from services.fulfillment.secrets import Secrets
from shared.contracts.http_action import ExpectedAnswer, HttpCall, SecretHeader
from shared.core import NoOutcome, NotDone, NotTried, OperatorFault, Outcome, Unknown
from shared.shell.http.outbound import Outbound, OutboundError, Response
from shared.shell.http.signatures import signature_headers
from shared.shell.observability.tracing import trace_headers

TIMEOUT = 15.0
"""Seconds for the whole call; less than the operations' own timeout, so that this one is reported."""
RECEIVER = "system behind it"
SIGNING_KEY = re.compile(r"whsec_[A-Za-z0-9+/]{16,}={0,2}")


class CountedRequests(AccessRequests, Protocol):
    """Where the gateway checks whether it may call at all."""

    async def is_replaced(self, operation: AccessOperation) -> bool:
        """Whether another call is made instead, with another key. False when that cannot be read."""
        ...


class HttpActions:
    """Gateway of CallHttpAction and RevokeHttpAction."""

    def __init__(
        self,
        outbound: Outbound,
        requests: CountedRequests,
        secrets: Secrets,
        *,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbound = outbound
        self._requests = requests
        self._secrets = secrets
        self._timeout = timeout
        self._clock = clock

    async def perform(self, operation: CallHttpAction | RevokeHttpAction, key: str) -> Outcome | NoOutcome:
        if operation.number and await self._requests.is_replaced(operation):
            return type(operation).Failed("not_needed", "Not called, since it is no longer needed.")
        result = await self._call(operation, key)
        if isinstance(result, OperatorFault) and not await self._requests.is_current(operation):
            return type(operation).Failed("not_needed", f"Not retried, since it is no longer needed. {result.text}")
        return result

    async def find(self, operation: HttpOperation, key: str) -> Outcome | NotDone | NoOutcome:
        return Unknown("The receiver cannot be asked about earlier calls.")

    async def close(self) -> None:
        await self._outbound.close()

    async def _call(self, operation: CallHttpAction | RevokeHttpAction, key: str) -> Outcome | NoOutcome:
        call, made = operation.call, operation.request
        secrets = await self._read(operation.store, call)
        if not isinstance(secrets, dict):
            return secrets
        body = None if made.body is None else made.body.encode()
        own = dict(made.headers) | {
            name: f"{header.prefix or ''}{secrets[header.secret]}" for name, header in _secret(call)
        }
        typed = any(name.lower() == "content-type" for name in own) or body is None
        headers = {
            **({} if typed else {"Content-Type": "application/json"}),
            **trace_headers(),
            **own,
            "Idempotency-Key": key,
        }
        if call.signed:
            headers |= signature_headers(secrets[call.signed], key, int(self._clock()), body or b"")
        try:
            reply = await self._outbound.request(call.method, made.url, body, headers, timeout=self._timeout)
        except OutboundError as error:
            return not_answered(error, RECEIVER)
        return outcome_of(operation, reply, secrets.values())

    async def _read(self, store: str, call: HttpCall) -> dict[str, str] | OperatorFault | NotTried:
        known: dict[str, str] = {}
        for name in call.secrets:
            value = await asked(self._secrets, store, name)
            if not isinstance(value, str):
                return value
            known[name] = value
        if call.signed and not SIGNING_KEY.fullmatch(known[call.signed]):
            return OperatorFault(f"Secret {call.signed} is no signing key: set it to whsec_ and base64.")
        unfit = [header.secret for _, header in _secret(call) if not _is_header_text(known[header.secret])]
        if unfit:
            text = f"Secret {', '.join(unfit)} cannot be a header: set it again, as one line of ASCII characters."
            return OperatorFault(text)
        return known


def _secret(call: HttpCall) -> list[tuple[str, SecretHeader]]:
    return [(name, value) for name, value in call.headers.items() if isinstance(value, SecretHeader)]


def _is_header_text(value: str) -> bool:
    return value.isascii() and value.isprintable() and bool(value) and value == value.strip()


def outcome_of(operation: CallHttpAction | RevokeHttpAction, reply: Response, secrets: Any = ()) -> Outcome | NoOutcome:
    """What an answer means. Of `secrets` nothing is shown, even if the answer repeats them."""
    call, url = operation.call, operation.request.url
    shown = excerpt(reply.body, secrets) if operation.action.show_answers else ""
    if reply.status in call.statuses or (not call.statuses and _is_success(operation, reply.status)):
        if call.expected is None or has_expected(call.expected, reply.body):
            return type(operation).Done()
        text = f"but its answer does not have at {call.expected.pointer or 'its top'} what the action expects"
        return type(operation).Unresolved(
            f"{answered(url, reply)[:-1]},{shown} {text}: look there, then retry the order."
        )
    if 200 <= reply.status < 300:
        text = "which is no success for this action: look there, then retry the order."
        return type(operation).Unresolved(f"{answered(url, reply)[:-1]},{shown} {text}")
    words = {
        "credentials": "secrets",
        "method": call.method,
        "subject": "address",
        "check": "URL and body of the action",
    }
    return no_success(
        url,
        reply,
        type(operation).Failed,
        receiver=RECEIVER,
        words=words,
        of_order="{{" in call.url.partition("?")[0],
        shown=shown,
    )


def _is_success(operation: HttpOperation, status: int) -> bool:
    return 200 <= status < 300 or (status == 410 and isinstance(operation, RevokeHttpAction))


def has_expected(expected: ExpectedAnswer, body: bytes) -> bool:
    try:
        found = resolved(orjson.loads(body), expected.pointer)
    except (LookupError, ValueError):
        return False
    return type(found) is type(expected.value) and found == expected.value


def resolved(document: JsonValue, pointer: str) -> JsonValue:
    """What a JSON Pointer (RFC 6901) points at. Raises LookupError."""
    found = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdigit() and (name == "0" or name[0] != "0"):
            found = found[int(name)]
        else:
            raise LookupError(name)
    return found
