"""An HTTP action: a call that staff write once and each order fills in. Part of fulfillment's messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import orjson
from pydantic import AfterValidator, Field, JsonValue, StringConstraints, TypeAdapter, model_validator

from shared.contracts.addresses import callable_url
from shared.contracts.templates import Template, placeholders
from shared.contracts.values import Given, Id, Text, Url

MAX_BODY = 8_000
"""Bytes of a body as it is configured."""
MAX_DEPTH = 10
RESERVED_HEADERS = frozenset(
    "connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding "
    "upgrade host content-length expect accept-encoding idempotency-key traceparent tracestate "
    "webhook-id webhook-timestamp webhook-signature".split()
)
"""Those of one connection (RFC 9110, 7.6.1), and those that are set for each call."""
NOT_SUCCESS = frozenset({401, 403, 407, 408, 425, 429})
"""They say that the call was not let through."""
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_template: TypeAdapter[str] = TypeAdapter(Template)


def _header_name(name: str) -> str:
    if name.lower() in RESERVED_HEADERS:
        raise ValueError(f"header {name} is set by orderbus or belongs to the connection: leave it out")
    return name


def _header_text(text: str) -> str:
    """RFC 9110, 5.5: visible ASCII, and spaces within."""
    if not (text.isascii() and text.isprintable() and text == text.strip() and text):
        raise ValueError("must be visible ASCII characters, with spaces only between them")
    return text


def _fillable_url(url: str) -> str:
    """Placeholders stand in path and query only, so that no field says which host is called."""
    bare = _PLACEHOLDER.sub("x", url)
    place = url.partition("://")[2]
    host = re.split(r"[/?#]", place, maxsplit=1)[0]
    problems = []
    if "{" in host or "}" in host or "{{" in url.partition("#")[2]:
        problems.append("may have placeholders in its path and its query only")
    if "{" in bare or "}" in bare:
        problems.append("has single braces, which no URL has")
    try:
        if urlsplit(bare).username is not None:
            problems.append("must not contain credentials: put them into a header that names a secret")
        callable_url(bare)
    except ValueError as wrong:
        problems.append(str(wrong))
    if problems:
        raise ValueError("; ".join(problems))
    return url


def strings(value: JsonValue, depth: int = 0) -> Iterator[str]:
    """All strings of a JSON value but the names of its fields. Raises ValueError for what is too deep, and for names
    with placeholders."""
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from strings(part, depth + 1)
    elif isinstance(value, dict):
        for name, part in value.items():
            if placeholders(name):
                raise ValueError(f"has a placeholder in the name of a field: {name[:100]}")
            yield from strings(part, depth + 1)


def _body(value: JsonValue) -> JsonValue:
    for text in strings(value):
        _template.validate_python(text)
    try:
        size = len(orjson.dumps(value))
    except (TypeError, ValueError):
        raise ValueError("has a number that JSON cannot carry") from None
    if size > MAX_BODY:
        raise ValueError(f"has {size:,} bytes; at most {MAX_BODY:,} are allowed")
    return value


HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), AfterValidator(_header_name)
]
HeaderText = Annotated[Template, AfterValidator(_header_text)]
UrlTemplate = Annotated[Template, AfterValidator(_fillable_url)]
Method = Literal["POST", "PUT", "PATCH", "DELETE", "GET"]
Status = Annotated[int, Field(ge=200, le=499)]


class SecretHeader(Given):
    """A header whose value is one of the store's secrets, which no message carries."""

    secret: Id
    """The name of the secret."""
    prefix: Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,50})$")] | None = None
    """What stands before the secret, as in `Bearer `."""


class ExpectedAnswer(Given):
    """What the JSON of the answer must have."""

    pointer: Annotated[str, StringConstraints(max_length=200)]
    """Where: a JSON Pointer (RFC 6901), as in `/data/status`."""
    value: JsonValue
    """What must be there: the value is equal to this one."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if not _POINTER.fullmatch(self.pointer):
            raise ValueError("pointer: must be a JSON Pointer, as in /data/status")
        return self


class HttpCall(Given):
    """One request, and what counts as its success. Fields of the order are percent-encoded in URL and headers, and are
    JSON strings in the body."""

    method: Method = "POST"
    """The request's HTTP method."""
    url: UrlTemplate
    """Where the request is sent. Placeholders may be in its path and its query."""
    headers: Annotated[dict[HeaderName, HeaderText | SecretHeader], Field(max_length=20)] = Field(default_factory=dict)
    """Further headers by name: a text, or the name of a secret."""
    body: Annotated[JsonValue, AfterValidator(_body)] = None
    """The request's JSON: any value, whose strings may have placeholders."""
    signed: Id | None = None
    """The name of the secret (`whsec_…`) by which the call is signed as Standard Webhooks says."""
    statuses: Annotated[tuple[Status, ...], Field(max_length=20)] = ()
    """HTTP statuses that mean success. Empty: 200 to 299; 410, too, where it revokes."""
    expected: ExpectedAnswer | None = None
    """What the answer must hold to be a success, besides its status."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all that it needs."""
        of_headers = {header.secret for header in self.headers.values() if isinstance(header, SecretHeader)}
        return tuple(sorted(of_headers | ({self.signed} if self.signed else set())))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        if self.method == "GET" and self.body is not None:
            problems.append("a GET request has no body")
        if len({name.lower() for name in self.headers}) < len(self.headers):
            problems.append("a header is there twice")
        wrong = [status for status in self.statuses if 300 <= status < 400 or status in NOT_SUCCESS]
        if wrong:
            problems.append(f"{', '.join(map(str, wrong))} never means that the call was carried out")
        if problems:
            raise ValueError("; ".join(problems))
        return self


class HttpAction(HttpCall):
    """A call that delivers an item, and one that revokes it. Both can be repeated: the receiver knows a repetition by
    its `Idempotency-Key`."""

    kind: Literal["http"] = "http"
    """The kind of action."""
    revoke: HttpCall | None = None
    """The call that revokes the item. Missing: nothing is called then."""
    enter: Url | None = None
    """Where the customer uses what was delivered."""
    note: Text | None = None
    """A text for the customer."""
    show_answers: bool = False
    """The answers hold nothing secret: staff see how they begin when a call fails."""
