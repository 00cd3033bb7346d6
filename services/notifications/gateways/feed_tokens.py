"""Tokens with which customers read their own feed: signed, expiring, for one recipient."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

import orjson

from shared.shell.http.principals import Principal

PREFIX = "feed."
PERMISSIONS = ("feed.read", "feed.mark")


class FeedTokens:
    """Makes and reads tokens: `feed.<payload>.<signature>`, both base64url."""

    def __init__(self, secret: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._secret = secret.encode()
        self._now = now

    def token(self, recipient: str, expires: datetime) -> str:
        payload = _encode(orjson.dumps({"r": recipient, "e": int(expires.timestamp())}))
        return f"{PREFIX}{payload}.{_encode(self._signature(payload))}"

    def read(self, token: str) -> Principal | None:
        """None for a token that is not ours or has expired."""
        payload, _, signature = token.removeprefix(PREFIX).partition(".")
        try:
            if not token.startswith(PREFIX) or not hmac.compare_digest(_decode(signature), self._signature(payload)):
                return None
            content = orjson.loads(_decode(payload))
            if content["e"] <= self._now().timestamp():
                return None
            return Principal("customer", PERMISSIONS, recipient=content["r"])
        except (ValueError, KeyError, TypeError):
            return None

    def _signature(self, payload: str) -> bytes:
        return hmac.digest(self._secret, b"feed." + payload.encode(), "sha256")


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii") + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None
