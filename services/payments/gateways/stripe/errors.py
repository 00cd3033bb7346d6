"""What caused an error of Stripe: the network, the configuration, or this card, order or refund.

    error                                                 means
    cannot connect, 429                                   Retry: certainly not done
    connection lost, timeout, 5xx, a key in use (409),
    a key used with other parameters                      Unknown: possibly done
    401, 403, a refused key, account or API version,
    a response that is not Stripe's                       OperatorFault: Stripe is paused, staff are told what to fix
    card error (402)                                      a decline, for a reason of the closed list
    any other refused request                             a problem of this order or refund only

The last is a decline with a neutral text for the customer, and Stripe's message for staff: one order with a payment
method that Stripe does not know must not pause the charges of all others.
Sources: https://docs.stripe.com/error-codes, https://docs.stripe.com/declines/codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import stripe

from services.payments.domain.declines import DeclineReason
from shared.core import OperatorFault, Retry, Unknown

LONGEST_RETRY_AFTER = 600.0
BASE_SETTING, KEY_SETTING = "ORDERBUS_STRIPE__API_BASE", "ORDERBUS_STRIPE__API_KEY"
OPERATOR_CODES: Mapping[str, str] = {
    "account_invalid": "Stripe does not accept the account of this API key.",
    "api_key_expired": f"Stripe's API key has expired: set a new one in {KEY_SETTING}.",
    "livemode_mismatch": f"A live object was asked for with a test key, or the reverse: check {KEY_SETTING}.",
    "not_allowed_on_standard_account": "Stripe's account may not do this; check its settings in the dashboard.",
    "parameter_unknown": "Stripe does not know a parameter that orderbus sends: the API version does not fit.",
    "platform_account_required": "Stripe wants the key of a platform's account.",
    "platform_api_key_expired": f"Stripe's API key has expired: set a new one in {KEY_SETTING}.",
    "secret_key_required": f"{KEY_SETTING} is a publishable key: set the secret key.",
    "testmode_charges_only": "Stripe's account is not activated for live charges: activate it in Stripe's dashboard.",
    "tls_version_unsupported": "Stripe does not accept the TLS version of this machine.",
}
"""Errors that affect every call, and what to do about them."""
BY_STATUS: Mapping[int, str] = {
    401: f"Stripe does not accept the API key: check {KEY_SETTING}.",
    403: "The API key may not do this: grant the permission in Stripe's dashboard.",
}
BY_MESSAGE: Mapping[str, str] = {
    "Invalid Stripe API version": "Stripe does not know the API version that orderbus asks for.",
    "Your account cannot currently make": "Stripe's account may not make charges now: see Stripe's dashboard.",
}
"""Errors without a code, by how their message begins."""

R = DeclineReason
REASONS: Mapping[str, DeclineReason] = {
    "insufficient_funds": R.INSUFFICIENT_FUNDS,
    "expired_card": R.EXPIRED_CARD,
    **dict.fromkeys(
        (
            *("incorrect_number", "invalid_number", "incorrect_cvc", "invalid_cvc", "invalid_expiry_month"),
            *("invalid_expiry_year", "incorrect_zip", "incorrect_address", "incorrect_pin", "invalid_pin"),
        ),
        R.INCORRECT_DETAILS,
    ),
    **dict.fromkeys(
        ("card_velocity_exceeded", "withdrawal_count_limit_exceeded", "pin_try_exceeded"), R.LIMIT_EXCEEDED
    ),
    **dict.fromkeys(
        (
            *("card_not_supported", "currency_not_supported", "transaction_not_allowed", "not_permitted"),
            "service_not_allowed",
        ),
        R.NOT_SUPPORTED,
    ),
    **dict.fromkeys(
        (
            *("authentication_required", "authentication_not_handled", "payment_intent_authentication_failure"),
            *("offline_pin_required", "online_or_offline_pin_required"),
        ),
        R.NOT_CONFIRMED,
    ),
    **dict.fromkeys(
        ("processing_error", "issuer_not_available", "reenter_transaction", "try_again_later", "approve_with_id"),
        R.TRY_AGAIN,
    ),
}
"""What a customer reads of a decline. Lost, stolen and suspicious cards look like any other decline."""
METHOD_PARAMS = ("payment_method", "card", "token", "source", "customer")
METHOD_CODES = ("token_already_used", "token_in_use", "token_card_network_invalid", "account_closed")
"""`account_closed` is the customer's bank account."""


def decline_reason(code: str) -> DeclineReason:
    """The reason for a declined card, by Stripe's decline code or error code."""
    return REASONS.get(code, R.CARD_DECLINED)


def details_of(error: stripe.StripeError) -> Mapping[str, Any]:
    """The `error` of Stripe's response; empty if the response is not Stripe's."""
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def code_of(error: stripe.StripeError) -> str:
    return str(details_of(error).get("code") or error.code or type(error).__name__)


def words_of(error: stripe.StripeError) -> str:
    """Stripe's message and the request's id, for staff."""
    words = str(details_of(error).get("message") or "Stripe refused the request.")[:500]
    return f"{words} (request {error.request_id})" if error.request_id else words


def not_an_outcome(error: stripe.StripeError) -> Retry | Unknown | OperatorFault | None:
    """The meaning of an error that is not about this order or refund; None if it is."""
    if isinstance(error, stripe.APIConnectionError):
        return _no_connection(error.__cause__)
    status = error.http_status or 0
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        code = details_of(error).get("code") or "rate_limit"
        return Retry(f"Stripe answered 429: {code}.", after=_retry_after(error))
    if cause := _possibly_done(error, status):
        return Unknown(f"{cause} (request {error.request_id}).")
    fault = _operator_fault(error, status)
    return OperatorFault(fault) if fault else None


def _possibly_done(error: stripe.StripeError, status: int) -> str:
    if status == HTTPStatus.CONFLICT:
        return "Another call under this key is still running"
    if isinstance(error, stripe.IdempotencyError):
        return "This key was used with other parameters"
    if 200 <= status < 300:
        return f"The response cannot be read: check {BASE_SETTING}"
    return f"Stripe answered {status}" if status >= 500 or status == 0 else ""


def _no_connection(cause: BaseException | None) -> Retry | Unknown | OperatorFault:
    name = type(cause).__name__
    if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return OperatorFault(
            f"No secure connection to Stripe ({name}): check {BASE_SETTING} and the certificate authorities."
        )
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Retry(f"Stripe cannot be reached ({name}): check the network and {BASE_SETTING}.")
    if isinstance(cause, aiohttp.InvalidURL):
        return OperatorFault(f"{BASE_SETTING} is not a URL.")
    return Unknown(f"The connection to Stripe was lost ({name}).")


def _operator_fault(error: stripe.StripeError, status: int) -> str:
    """Our own texts only: Stripe's quote parts of keys. Empty where it is not the operator's fault."""
    details = details_of(error)
    if not details:
        return f"The server at {BASE_SETTING} is not Stripe (status {status})."
    code = str(details.get("code") or "")
    if code in OPERATOR_CODES or status in BY_STATUS:
        return OPERATOR_CODES.get(code) or BY_STATUS[status]
    if status == HTTPStatus.NOT_FOUND and not code:
        return f"Stripe does not know this address: check {BASE_SETTING}."
    message = str(details.get("message") or "")
    return next((fault for begins, fault in BY_MESSAGE.items() if message.startswith(begins)), "")


def charge_refused_for(error: stripe.StripeError) -> DeclineReason:
    """Why a charge was refused that is neither the operator's fault nor declined by a card's issuer."""
    code, param = code_of(error), str(details_of(error).get("param") or "")
    if code in REASONS:
        return REASONS[code]
    about_method = param.partition("[")[0] in METHOD_PARAMS or code in METHOD_CODES or code.startswith("payment_method")
    return R.METHOD_UNUSABLE if about_method else R.NOT_CHARGEABLE


def is_replayed(headers: Mapping[str, str] | None) -> bool:
    """The response is an old one that Stripe has stored under the key."""
    return _header(headers, "idempotent-replayed") == "true"


def _retry_after(error: stripe.StripeError) -> float | None:
    """Seconds, from the header `Retry-After`."""
    try:
        return min(max(float(_header(error.headers, "retry-after")), 0.0), LONGEST_RETRY_AFTER)
    except ValueError:
        return None


def _header(headers: Mapping[str, str] | None, name: str) -> str:
    return next((str(value) for key, value in (headers or {}).items() if key.lower() == name), "")
