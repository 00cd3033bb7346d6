"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import orjson

MEDIA = "text/event-stream"
HEARTBEAT = 15.0
"""Seconds between signs of life on a stream without news."""
SIGN_OF_LIFE = b": still here\n\n"


def event_of(name: str, data: object, id: str = "") -> bytes:
    """An event with JSON as its data."""
    lines = (f"id: {id}\n" if id else "") + f"event: {name}\ndata: "
    return lines.encode() + orjson.dumps(data) + b"\n\n"
