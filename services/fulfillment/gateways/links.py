"""Download links: signed by HMAC-SHA256, valid until they expire, dead when the item is revoked.

`<public_url>/downloads/<payload>.<signature>`, both base64url without padding (RFC 4648); the payload is JSON.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from services.fulfillment.domain.operations import SignDownload
from shared.core import NoOutcome, NotDone, Outcome


class BadLink(Exception):
    """The link was not made here, or was changed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a link says: which item of which order, and until when."""

    order: str
    item: str
    expires: datetime


class Links:
    """Makes and reads links. A gateway of `SignDownload`; nothing leaves the process."""

    def __init__(self, secret: str, public_url: str) -> None:
        self._secret = secret.encode()
        self._root = public_url.rstrip("/")

    def url(self, claim: Claim) -> str:
        content = {"o": claim.order, "i": claim.item, "e": int(claim.expires.timestamp())}
        payload = _encode(orjson.dumps(content))
        return f"{self._root}/downloads/{payload}.{_encode(self._signature(payload))}"

    def read(self, token: str) -> Claim:
        """Raises BadLink. The caller checks whether it has expired or is revoked."""
        payload, _, signature = token.partition(".")
        try:
            if not hmac.compare_digest(_decode(signature), self._signature(payload)):
                raise BadLink
            content = orjson.loads(_decode(payload))
            return Claim(content["o"], content["i"], datetime.fromtimestamp(content["e"], UTC))
        except (ValueError, KeyError, TypeError) as wrong:
            raise BadLink from wrong

    async def perform(self, operation: SignDownload, key: str) -> Outcome | NoOutcome:
        return SignDownload.Done(self.url(Claim(operation.order, operation.item, operation.expires)))

    async def find(self, operation: SignDownload, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()

    def _signature(self, payload: str) -> bytes:
        return hmac.digest(self._secret, b"download." + payload.encode(), "sha256")


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value.encode("ascii") + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as wrong:
        raise ValueError("not base64url") from wrong
