"""Idempotency keys: the first answer is the answer.

Source: https://docs.stripe.com/api/idempotent_requests. A key repeats the first answer, failures included, once its
request began to execute; it refuses other parameters or another endpoint, and a second request while the first runs.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import orjson

from deploy.sandboxes.stripe.errors import StripeError, invalid
from deploy.sandboxes.stripe.journal import Place

LONGEST_KEY = 255
KEPT_SECONDS = 24 * 3600


class Kept(NamedTuple):
    """A first answer; its text is in the journal at `place`."""

    fingerprint: str
    path: str
    created: int
    place: Place


class IdempotencyKeys:
    """Keys with a kept answer, and those whose first request is still running."""

    def __init__(self) -> None:
        self._kept: dict[str, Kept] = {}
        self._running: set[str] = set()

    def begin(self, key: str, fingerprint: str, path: str, now: int) -> Kept | None:
        """The kept answer, or None: then the caller runs the request and calls `end`. Raises what Stripe answers."""
        if len(key) > LONGEST_KEY:
            raise invalid(f"Idempotency keys have at most {LONGEST_KEY} characters.")
        if key in self._running:
            message = (
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                "submitted twice, and the other request is still going through): "
            )
            code = "idempotency_key_in_use"
            raise StripeError(409, f"{message}{key}. Please try again later.", type="idempotency_error", code=code)
        kept = self._kept.get(key)
        if kept is None or now - kept.created > KEPT_SECONDS:
            self._running.add(key)
            return None
        _compare(key, kept, fingerprint, path)
        return kept

    def end(self, key: str) -> None:
        self._running.discard(key)

    def keep(self, key: str, kept: Kept) -> None:
        self._kept[key] = kept


def _compare(key: str, kept: Kept, fingerprint: str, path: str) -> None:
    if kept.path != path:
        raise StripeError(
            400,
            f"Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{path}' vs '{kept.path}'). Try using a key other than '{key}' if you meant to execute a different "
            f"request.",
            type="idempotency_error",
        )
    if kept.fingerprint != fingerprint:
        raise StripeError(
            400,
            f"Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key}' if you meant to execute a different request.",
            type="idempotency_error",
        )


def fingerprint_of(params: dict[str, object]) -> str:
    """Equal for equal parameters, in whatever order they came."""
    return blake2b(orjson.dumps(params, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
