"""W3C Trace Context: one trace for everything that one message caused."""

from __future__ import annotations

import re
from contextvars import ContextVar
from uuid import UUID

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")

CURRENT: ContextVar[str] = ContextVar("traceparent", default="")
"""The trace context of the operation that is being performed: gateways send it along as the header `traceparent`."""


def trace_headers() -> dict[str, str]:
    """For an HTTP call to the outside."""
    current = CURRENT.get()
    return {"traceparent": current} if current else {}


def child_of(traceparent: str, message_id: UUID) -> str:
    """The trace context of what a message causes: the same trace, with the message as parent span.

    A message without a (valid) context begins a trace of its own. Source: W3C Trace Context, section 3.2.
    """
    match = _TRACEPARENT.fullmatch(traceparent)
    trace, flags = (match[1], match[3]) if match else (message_id.hex, "01")
    return f"00-{trace}-{span_of(message_id)}-{flags}"


def span_of(message_id: UUID) -> str:
    """The span id (16 hex digits) of the handling of a message."""
    return f"{message_id.int & 0xFFFFFFFFFFFFFFFF:016x}"


def trace_of(traceparent: str) -> str:
    """The trace id, for logs; empty when there is none."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match[1] if match else ""
