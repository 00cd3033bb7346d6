"""An HTTP action's request, filled in with the fields of an order. Whatever a field holds, the request keeps its shape:
the same path segments, headers and JSON structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import orjson
from pydantic import JsonValue

from shared.contracts.http_action import HttpCall
from shared.contracts.templates import fill

MAX_URL, MAX_HEADER, MAX_FILLED = 8_000, 8_000, 65_536
"""Bytes."""
HEADER_SAFE = "!#$&+^`|@"
"""Along with letters, digits and `-._~`: RFC 8187 (3.2.1) and `@`."""


class UnusableField(Exception):
    """A field of the order would make another request of it. Says what to do."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    """Without those that are secret."""
    body: str | None = None
    """JSON."""


def filled(call: HttpCall, fields: Mapping[str, str]) -> HttpRequest:
    """Raises MissingFields, UnusableField."""
    url = fill(call.url, fields, lambda value: quote(_text(value), safe=""))
    headers = tuple(
        (name, fill(text, fields, lambda value: quote(_text(value), safe=HEADER_SAFE)))
        for name, text in call.headers.items()
        if isinstance(text, str)
    )
    body = None if call.body is None else orjson.dumps(_filled(call.body, fields)).decode()
    if is_dotted(url):
        text = (
            "A field of the order is only dots where the URL needs a name: it would call another path. Deliver by hand."
        )
        raise UnusableField(text)
    longest = max((len(text) for _, text in headers), default=0)
    if len(url) > MAX_URL or longest > MAX_HEADER or len((body or "").encode()) > MAX_FILLED:
        raise UnusableField("The order's fields are too long for this call. Deliver by hand.")
    return HttpRequest(url, headers, body)


def is_dotted(url: str) -> bool:
    """Whether a segment of the path is `.` or `..`, which clients take out (RFC 3986, 5.2.4)."""
    return any(unquote(segment) in (".", "..") for segment in urlsplit(url).path.split("/"))


def _filled(value: JsonValue, fields: Mapping[str, str]) -> JsonValue:
    if isinstance(value, str):
        return fill(value, fields, _text)
    if isinstance(value, list):
        return [_filled(part, fields) for part in value]
    if isinstance(value, dict):
        return {name: _filled(part, fields) for name, part in value.items()}
    return value


def _text(value: str) -> str:
    """Lone surrogates cannot be sent."""
    return value.encode("utf-8", "replace").decode()
