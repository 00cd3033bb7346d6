"""W3C Trace Context: one trace for everything that happens to a key, whichever service it happens in.

A message that comes with a trace context goes on in it. One that comes without (a storefront's, a command by HTTP, a
provider's callback) joins the trace of its key, whose ids are hashes of the key: so everything about one order is in
one trace, though nothing is stored for it. Ids of spans are hashes too, of the message and the service: a decision
that is made again gives the same ids, and what was sent before a crash still finds its parent.

    Order                                   the key: made by the message that creates its row
    └── order.placed                        one message in one service
        ├── ChargeCard                      one attempt of a call to the outside
        │   └── ChargeCard.Done             its outcome, as a message
        │       └── payment.captured …      what that caused, in other services
        └── …
"""

from __future__ import annotations

import hashlib
import re
import secrets
from contextvars import ContextVar
from uuid import UUID

from shared.core.ids import last_64_bits

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_PARKED = 0x5061726B6564
_64_BITS = 0xFFFFFFFFFFFFFFFF

CURRENT: ContextVar[str] = ContextVar("traceparent", default="")
"""The trace context of what is being done: of the HTTP request that came in, or of the call to the outside. Gateways
send it along as the header `traceparent`."""


def trace_headers() -> dict[str, str]:
    """For an HTTP call to the outside."""
    current = CURRENT.get()
    return {"traceparent": current} if current else {}


def valid(traceparent: str) -> str:
    """The trace context, or nothing where it is none. Source: W3C Trace Context, section 3.2."""
    return traceparent if _TRACEPARENT.fullmatch(traceparent) else ""


def context_of(traceparent: str, key: str) -> str:
    """The trace context of a message: its own, or where it has no valid one that of its key."""
    return valid(traceparent) or key_context(key)


def key_context(key: str) -> str:
    """The trace of a key, with the key's own span as parent."""
    digest = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=24, person=b"orderbus trace").hexdigest()
    return f"00-{digest[:32]}-{digest[32:]}-01"


def child_of(context: str, span: str) -> str:
    """The trace context of what is caused inside a span. `context` is a valid one."""
    return f"{context[:36]}{span}{context[52:]}"


def span_of(identity: UUID, salt: int = 0) -> str:
    """The span id (16 hex digits) of the handling of a message; `salt` tells the services apart that handle it."""
    return f"{last_64_bits(identity) ^ salt & _64_BITS or 1:016x}"


def parked_span_of(identity: UUID, salt: int) -> str:
    """… of its being parked. When it is tried again it is handled under its usual id."""
    return span_of(identity, salt ^ _PARKED)


def attempt_span_of(identity: UUID, lease: int) -> str:
    """… of one try of an operation, under one lease."""
    return hashlib.blake2b(identity.bytes + lease.to_bytes(4), digest_size=8, person=b"attempt").hexdigest()


def new_span() -> str:
    return secrets.token_hex(8)


def trace_of(traceparent: str) -> str:
    """The trace id, for logs; empty when there is none."""
    return traceparent[3:35] if valid(traceparent) else ""
