"""Tokens with which customers read their own feed: signed, expiring, for one recipient."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from shared.shell.http.principals import Principal
from shared.shell.signed_tokens import SignedTokens

PREFIX = "feed."
PERMISSIONS = ("feed.read", "feed.mark")


class FeedTokens:
    """Makes and reads tokens: `feed.<signed token>`."""

    def __init__(self, secret: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tokens = SignedTokens(secret, "feed")
        self._now = now

    def token(self, recipient: str, expires: datetime) -> str:
        return PREFIX + self._tokens.make({"r": recipient, "e": int(expires.timestamp())})

    def read(self, token: str) -> Principal | None:
        """None for a token that is not ours or has expired."""
        if not token.startswith(PREFIX):
            return None
        try:
            content = self._tokens.read(token.removeprefix(PREFIX))
            if content["e"] <= self._now().timestamp():
                return None
            expires = datetime.fromtimestamp(content["e"], UTC)
            return Principal("customer", PERMISSIONS, recipient=content["r"], expires=expires)
        except (ValueError, KeyError, TypeError, OverflowError):
            return None
