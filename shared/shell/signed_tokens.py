"""Tokens that only we can make: JSON, signed by HMAC-SHA256 (RFC 2104)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from typing import Any

import orjson


class SignedTokens:
    """`<payload>.<signature>`, both base64url without padding (RFC 4648). `purpose` is signed, too: a token for one
    purpose is none for another, even under the same secret. `further`: secrets that sign no more, and are still
    right."""

    def __init__(self, secret: str, purpose: str, further: Sequence[str] = ()) -> None:
        self._secrets = [each.encode() for each in (secret, *further)]
        self._purpose = purpose.encode()

    def make(self, content: Mapping[str, Any]) -> str:
        payload = _encode(orjson.dumps(content))
        return f"{payload}.{_encode(self._signature(self._secrets[0], payload))}"

    def read(self, token: str) -> Any:
        """The content. Raises ValueError for a token that was not made here, or was changed."""
        payload, _, signature = token.partition(".")
        given = _decode(signature)
        if not any(hmac.compare_digest(given, self._signature(secret, payload)) for secret in self._secrets):
            raise ValueError("another signature")
        return orjson.loads(_decode(payload))

    def _signature(self, secret: bytes, payload: str) -> bytes:
        return hmac.digest(secret, self._purpose + b"." + payload.encode(), "sha256")


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii") + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("not base64url") from None
