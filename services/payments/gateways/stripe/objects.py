"""Reads Stripe's JSON: the status of an intent or a refund. It is the same in responses and in events."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import ChargeCard, ChargeResult, Fee, FindCharge, RefundResult
from services.payments.gateways.stripe.currencies import from_stripe
from services.payments.gateways.stripe.errors import decline_reason
from shared.contracts.values import Card
from shared.core.fast_dataclasses import replace
from shared.core.money import MAX_AMOUNT

Json = Mapping[str, Any]
NO_WORDS = "The card could not be charged."


def charge_result(intent: Json) -> ChargeResult:
    """Source: https://docs.stripe.com/payments/paymentintents/lifecycle. Raises ValueError for an amount or currency
    that we cannot have asked for."""
    currency, metadata = str(intent["currency"]).upper(), intent.get("metadata") or {}
    return replace(
        _charge_status(intent),
        requested=from_stripe(intent["amount"], currency),
        currency=currency,
        store=str(metadata.get("store", "")),
        key=str(metadata.get("key", "")),
    )


def _charge_status(intent: Json) -> ChargeResult:
    id, card = intent["id"], card_in(intent.get("payment_method"))
    match intent["status"]:
        case "succeeded":
            received = from_stripe(intent["amount_received"], intent["currency"])
            return ChargeResult(id, "succeeded", received, card=card, fee=fee_of(intent))
        case "requires_action":
            return ChargeResult(id, "requires_action", url=action_url(intent), card=card)
        case "canceled":
            return ChargeResult(id, "cancelled", card=card)
        case "requires_payment_method" | "requires_confirmation":
            error = intent.get("last_payment_error")
            if not error:
                return ChargeResult(id, "failed", card=card, code="not_charged", reason=DeclineReason.NOT_CHARGED)
            code, text, declined = decline(error)
            return ChargeResult(id, "failed", card=declined or card, code=code, text=text, reason=decline_reason(code))
    return ChargeResult(id, "processing", card=card)


def is_charge_of(intent: Json, charge: ChargeCard | FindCharge) -> bool:
    """Whether we made it for this attempt."""
    metadata = intent.get("metadata") or {}
    named = (metadata.get("order"), metadata.get("attempt")) == (charge.order, str(charge.attempt))
    if not named or is_of_another(intent, charge.order):
        return False
    if not charge.currency:
        return True  # an older build's look-up names order and attempt only
    result = charge_result(intent)
    return result.is_for(charge.amount, charge.currency, charge.store, charge.key, may_lack_key=True)


def is_of_another(intent: Json, order: str, attempt: int | None = None) -> bool:
    """Whether it was charged for something else, as amounts are that we cannot have asked for. An intent that does not
    say may have been charged manually."""
    try:
        from_stripe(intent["amount"], intent["currency"])
    except ValueError:
        return True
    metadata = intent.get("metadata") or {}
    others_attempt = attempt is not None and metadata.get("attempt") not in (None, "", str(attempt))
    return others_attempt or metadata.get("order") not in (None, "", order)


def decline(error: Json) -> tuple[str, str, Card | None]:
    """Code, message and card of a card error."""
    code = error.get("decline_code") or error.get("code") or "card_declined"
    return str(code), str(error.get("message") or NO_WORDS)[:500], card_in(error.get("payment_method"))


def declined_thing(error: Json) -> str:
    """The id of the intent whose card was declined; empty where the error names none."""
    thing = error.get("payment_intent") or error.get("setup_intent") or {}
    return str(thing.get("id") or "")


def fee_of(intent: Json) -> Fee | None:
    """From the intent's expanded `latest_charge.balance_transaction`, in the currency that the account settles in:
    https://docs.stripe.com/api/balance_transactions/object. None where it is not there, or a part of the minor unit."""
    charge = intent.get("latest_charge")
    movement = charge.get("balance_transaction") if isinstance(charge, Mapping) else None
    if not isinstance(movement, Mapping):
        return None
    try:
        amount, currency = from_stripe(movement["fee"], movement["currency"]), str(movement["currency"]).upper()
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    if not 0 <= amount <= MAX_AMOUNT:
        return None
    return Fee(amount, currency, _decimal(movement.get("exchange_rate")))


def _decimal(rate: object) -> str:
    """A rate as people write it; empty for none."""
    try:
        found = Decimal(str(rate))
    except InvalidOperation:
        return ""
    return f"{found:f}"[:40] if found.is_finite() else ""


def action_url(intent: Json) -> str:
    redirect = (intent.get("next_action") or {}).get("redirect_to_url") or {}
    return str(redirect.get("url") or "")


def card_in(method: Any) -> Card | None:
    """The card of a payment method or of a charge's payment_method_details; None if it is only an id."""
    card = method.get("card") if isinstance(method, Mapping) else None
    if not card or not card.get("last4"):
        return None
    return Card(
        brand=card.get("brand") or "unknown",
        last4=card["last4"],
        exp_month=card.get("exp_month") or 0,
        exp_year=card.get("exp_year") or 0,
    )


def captured_charge(charge: Json) -> ChargeResult:
    """A charge that was captured (https://docs.stripe.com/api/charges/object), by its intent."""
    metadata, currency = charge.get("metadata") or {}, str(charge["currency"]).upper()
    return ChargeResult(
        str(charge["payment_intent"]),
        "succeeded",
        from_stripe(charge["amount_captured"], currency),
        card=card_in(charge.get("payment_method_details")),
        requested=from_stripe(charge["amount"], currency),
        currency=currency,
        store=str(metadata.get("store", "")),
        key=str(metadata.get("key", "")),
    )


def refund_result(refund: Json) -> RefundResult:
    """Source: https://docs.stripe.com/api/refunds/object. Raises ValueError for an amount or currency that we cannot
    have asked for."""
    result = _refund_status(refund)
    currency = str(refund.get("currency") or "").upper()
    if not currency:
        return result
    amount = from_stripe(refund["amount"], currency)
    return replace(result, charge=str(refund.get("payment_intent") or ""), amount=amount, currency=currency)


def _refund_status(refund: Json) -> RefundResult:
    match refund.get("status"):
        case "succeeded":
            return RefundResult(refund["id"])
        case "failed" | "canceled":
            return RefundResult(refund["id"], "failed", str(refund.get("failure_reason") or refund["status"]))
    return RefundResult(refund["id"], "pending")
