"""Stripe's refusals, as the API words them.

    StripeError
    ├── wrong request      400 parameter_*, 404 resource_missing, 401: nothing ran, not kept for the idempotency key
    ├── refused by state   400: the call ran and was refused; kept for the key
    └── CardDeclined       402: the call ran and left a failed charge behind; kept for the key

Sources: https://docs.stripe.com/api/errors, https://docs.stripe.com/error-codes,
https://docs.stripe.com/api/idempotent_requests.
"""

from __future__ import annotations

from typing import Any

import orjson


class StripeError(Exception):
    """An answer that is not 2xx. `saved`: the idempotency key repeats it (Stripe keeps what began to execute)."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        saved: bool = False,
        headers: dict[str, str] | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.saved = saved
        self.headers = headers or {}
        self._error = {"type": type, "message": message, "code": code, "param": param, **details}

    def body(self, request_id: str) -> bytes:
        error = {name: value for name, value in self._error.items() if value is not None}
        if "code" in error:
            error["doc_url"] = doc_url(error["code"])
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return orjson.dumps({"error": dict(sorted(error.items()))})


class CardDeclined(StripeError):
    """The bank or the sandbox's card said no; what the attempt wrote into the books stays."""


def doc_url(code: str) -> str:
    return f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    return StripeError(400, message, param=param, code=code)


def refused(message: str, code: str | None = None, param: str | None = None, **details: Any) -> StripeError:
    """The request is well formed, but the object is not in a state that allows it."""
    return StripeError(400, message, code=code, param=param, saved=True, **details)


def missing(noun: str, identifier: str, param: str = "id") -> StripeError:
    return StripeError(404, f"No such {noun}: '{identifier}'", code="resource_missing", param=param)


def unknown_route(method: str, path: str) -> StripeError:
    return StripeError(404, f"Unrecognized request URL ({method}: {path}). The Stripe sandbox has no such endpoint.")


def rate_limited(retry_after: float) -> StripeError:
    return StripeError(
        429,
        "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits.",
        code="rate_limit",
        headers={"Retry-After": f"{retry_after:g}", "Stripe-Rate-Limited-Reason": "global-rate"},
    )


def key_expired(key: str) -> StripeError:
    return StripeError(401, f"Expired API Key provided: {_masked(key)}", code="api_key_expired")


def forbidden(key: str, path: str, account: str) -> StripeError:
    """A restricted key without the permission. Stripe names the key's end and the account."""
    return StripeError(
        403,
        f"The provided key '{_masked(key)}' does not have the required permissions for this endpoint ({path}) on "
        f"account '{account}'.",
    )


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * 8}{key[-4:]}"


def broken(*, saved: bool) -> StripeError:
    """`saved`: the key answers 500 from now on, and the SDK is told not to retry; else it failed before it began."""
    advice = {"Stripe-Should-Retry": "false" if saved else "true"}
    return StripeError(500, "An unknown error occurred", type="api_error", saved=saved, headers=advice)


def unauthorised(key: str) -> StripeError:
    if not key:
        return StripeError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            headers={"WWW-Authenticate": 'Bearer realm="Stripe"'},
        )
    return StripeError(401, f"Invalid API Key provided: {key[:3]}{'*' * 8}{key[-4:]}")
