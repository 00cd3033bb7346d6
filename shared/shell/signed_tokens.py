"""Tokens that only we can make: JSON, signed by HMAC-SHA256 (RFC 2104)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Any

import orjson


class SignedTokens:
    """`<payload>.<signature>`, both base64url without padding (RFC 4648). `purpose` is signed, too: a token for one
    purpose is none for another, even under the same secret."""

    def __init__(self, secret: str, purpose: str) -> None:
        self._secret, self._purpose = secret.encode(), purpose.encode()

    def make(self, content: Mapping[str, Any]) -> str:
        payload = _encode(orjson.dumps(content))
        return f"{payload}.{_encode(self._signature(payload))}"

    def read(self, token: str) -> Any:
        """The content. Raises ValueError for a token that was not made here, or was changed."""
        payload, _, signature = token.partition(".")
        if not hmac.compare_digest(_decode(signature), self._signature(payload)):
            raise ValueError("another signature")
        return orjson.loads(_decode(payload))

    def _signature(self, payload: str) -> bytes:
        return hmac.digest(self._secret, self._purpose + b"." + payload.encode(), "sha256")


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii") + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None
