"""Assertions: by one, staff tells another service who sends a request through it, and what they may do. It is signed,
and it is for this one request: for its service, method, path, query, content type, `Idempotency-Key` and body, and for
half a minute. So one that leaks makes no other request, and the same one again changes nothing, since its
`Idempotency-Key` is the same.

    Authorization: Assertion <payload>.<signature>
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from shared.setting_types import keys_in
from shared.settings import Settings
from shared.shell.http.principals import Principal, ReadAssertion
from shared.shell.service import Service
from shared.shell.signed_tokens import SignedTokens

SCHEME = "Assertion"
LASTS = 30.0
"""Seconds from its making on."""
LONGEST = 60.0
"""Seconds: one that lasts longer from now on is refused, since its maker's clock is wrong."""
NO_BODY = hashlib.sha256(b"").hexdigest()


class BadAssertion(Exception):
    """It was not made for this request, or is no longer valid. The text says why, and nothing of its contents."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What is signed of a request besides its body."""

    method: str
    target: str
    """Path and query, as they are sent."""
    media: str = ""
    """The content type; empty without a body."""
    idempotency_key: str = ""

    def digest(self) -> str:
        fields = [self.method, self.target, self.media, self.idempotency_key]
        return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asserted(Principal):
    """A caller for whom staff vouches."""

    body_digest: str = NO_BODY
    """SHA-256 of the body that the request must have, in hexadecimal."""

    def check_body(self, digest: str) -> None:
        """Raises BadAssertion."""
        if not hmac.compare_digest(digest.encode(), self.body_digest.encode()):
            raise BadAssertion("another body")


class Assertions:
    """Makes and reads them. `keys`: the first signs, all of them are right. `now` gives Unix seconds."""

    def __init__(self, keys: Sequence[str], now: Callable[[], float] = time.time) -> None:
        self._tokens = SignedTokens(keys[0], "assertion", keys[1:])
        self._now = now

    def make(self, caller: Principal, service: str, head: RequestHead, body: bytes) -> str:
        """The header `Authorization`. `caller`: with the permissions and stores that it has for this request."""
        content = {
            "actor": caller.name,
            "permissions": sorted(set(caller.permissions)),
            "stores": None if caller.stores is None else sorted(caller.stores),
            "service": service,
            "head": head.digest(),
            "body": hashlib.sha256(body).hexdigest(),
            "expires": self._now() + LASTS,
        }
        return f"{SCHEME} {self._tokens.make(content)}"

    def read(self, service: str, header: str, head: RequestHead) -> Asserted:
        """Who sends the request. Its body is still to be checked. Raises BadAssertion."""
        try:
            content = self._tokens.read(header.partition(" ")[2])
        except ValueError:
            raise BadAssertion("another signature") from None
        try:
            return self._valid(service, content, head)
        except (KeyError, TypeError):
            raise BadAssertion("made by another build") from None

    def _valid(self, service: str, content: Any, head: RequestHead) -> Asserted:
        if content["service"] != service:
            raise BadAssertion("another service")
        left = content["expires"] - self._now()
        if not 0 < left <= LONGEST:
            raise BadAssertion("expired" if left <= 0 else "lasts too long")
        if not hmac.compare_digest(content["head"], head.digest()):
            raise BadAssertion("another request")
        stores = None if content["stores"] is None else frozenset(content["stores"])
        return Asserted(content["actor"], tuple(content["permissions"]), stores, body_digest=content["body"])


ASSERTED = web.RequestKey("asserted", Asserted)


def assertions_of(settings: Settings) -> Assertions | None:
    """None where the settings name no keys."""
    return None if settings.assertion_keys is None else Assertions(keys_in(settings.assertion_keys))


def assertion_reader(settings: Settings, service: Service) -> ReadAssertion | None:
    """Of those that are for this service. One that knows users itself takes none: it makes them."""
    found = None if service.known else assertions_of(settings)
    return None if found is None else partial(found.read, service.name)


def is_assertion(header: str) -> bool:
    """Of the header `Authorization`."""
    return header.partition(" ")[0].lower() == SCHEME.lower()
