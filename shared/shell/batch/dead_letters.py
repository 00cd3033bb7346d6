"""Dead letters: a copy of each parked record for people and tools, never larger than any topic takes. The parked row
keeps the record whole."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson

from shared.shell.ports.rows import OutboxRow

RawHeaders = Sequence[tuple[str, bytes | None]]
"""As Kafka has them: a value may be null."""
MAX_COPY = 700_000
"""Bytes of the body; with all headers the letter stays below Kafka's default limit of 1,048,588 bytes."""
MAX_NAME, MAX_VALUE, MAX_HEADERS, MAX_HEADER_BYTES = 100, 4_000, 50, 40_000
"""Characters of a header's name, bytes of its value, number of headers, bytes of all their values."""


def dead_letter(service: str, key: str, origin: str, headers: RawHeaders, body: bytes | None, error: str) -> OutboxRow:
    """The copy. `origin`: topic/partition/offset. What was cut is said in the header `orderbus_cut`: the sizes in bytes
    that the record had, and the SHA-256 of its body."""
    body = body or b""
    copied, header_bytes, cut = _headers(headers)
    copied += [["orderbus_origin", origin], ["orderbus_error", _text(error[:1000].encode("utf-8", "replace"))]]
    if cut or len(body) > MAX_COPY:
        sizes = {"headers": len(headers), "header_bytes": header_bytes, "body_bytes": len(body)}
        digest = {"body_sha256": hashlib.sha256(body).hexdigest()}
        copied.append(["orderbus_cut", orjson.dumps(sizes | digest).decode()])
    return OutboxRow(f"{service}.dead-letter.v1", key, orjson.dumps(copied), body[:MAX_COPY])


def _headers(headers: RawHeaders) -> tuple[list[list[str]], int, bool]:
    """The headers as far as they fit, how many bytes all of them have, and whether something is missing."""
    copied, total, room, cut = list[list[str]](), 0, MAX_HEADER_BYTES, False
    for name, value in headers:
        value = value or b""  # noqa: PLW2901  # a null value is legal in Kafka
        total += len(name) + len(value)
        kept = value[: min(MAX_VALUE, room)]
        if len(copied) == MAX_HEADERS or not room or len(kept) < len(value) or len(name) > MAX_NAME:
            cut = True
        if len(copied) < MAX_HEADERS and (room or not value):
            room -= len(kept)
            copied.append([_text(name.encode("utf-8", "replace"))[:MAX_NAME], _text(kept)])
    return copied, total, cut


def _text(value: bytes) -> str:
    r"""Bytes that are no UTF-8 are shown as `\xff`."""
    return value.decode("utf-8", "backslashreplace")
