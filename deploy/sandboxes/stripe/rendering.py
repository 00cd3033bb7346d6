"""Records as Stripe's JSON, in the shape of its OpenAPI description (API version `API_VERSION`).

The conformance test validates every one of these against that description.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploy.sandboxes.stripe.cards import CARDS
from deploy.sandboxes.stripe.charge_rendering import NETWORK_DECLINE_CODES, address, billing_details, charge, shipping
from deploy.sandboxes.stripe.errors import doc_url
from deploy.sandboxes.stripe.objects import (
    BalanceTransaction,
    Charge,
    Customer,
    PaymentIntent,
    PaymentMethod,
    Record,
    Refund,
    SetupIntent,
    Token,
    Tree,
)

API_VERSION = "2026-10-28.endive"
"""What the stripe SDK 16.1 sends."""


def payment_method(it: PaymentMethod) -> Tree:
    card = CARDS[it.card]
    return {
        "id": it.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(it.billing_details),
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": it.exp_month,
            "exp_year": it.exp_year,
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": it.created,
        "customer": it.customer,
        "customer_account": None,
        "livemode": False,
        "metadata": it.metadata,
        "type": "card",
    }


def token(it: Token) -> Tree:
    card = CARDS[it.card]
    return {
        "id": it.id,
        "object": "token",
        "card": {
            "id": it.id.replace("tok_", "card_"),
            "object": "card",
            "brand": card.brand.title(),
            "country": card.country,
            "cvc_check": "unchecked",
            "dynamic_last4": None,
            "exp_month": it.exp_month,
            "exp_year": it.exp_year,
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "last4": card.last4,
            "metadata": {},
            "name": None,
            "networks": {"preferred": None},
            "regulated_status": "unregulated",
            "tokenization_method": None,
        },
        "client_ip": None,
        "created": it.created,
        "livemode": False,
        "type": "card",
        "used": it.used,
    }


def customer(it: Customer) -> Tree:
    return {
        "id": it.id,
        "object": "customer",
        "address": address(it.address) if it.address else None,
        "balance": 0,
        "created": it.created,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": it.description,
        "discount": None,
        "email": it.email,
        "invoice_prefix": it.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": it.metadata,
        "name": it.name,
        "next_invoice_sequence": 1,
        "phone": it.phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def payment_intent(it: PaymentIntent) -> Tree:
    automatic = None if it.allow_redirects is None else {"allow_redirects": it.allow_redirects, "enabled": True}
    card_options = {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": it.three_d_secure,
    }
    return {
        "id": it.id,
        "object": "payment_intent",
        "allowed_payment_method_types": it.allowed_payment_method_types,
        "amount": it.amount,
        "amount_capturable": it.amount_capturable,
        "amount_details": {"tip": {}},
        "amount_received": it.amount_received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": automatic,
        "canceled_at": it.canceled_at,
        "cancellation_reason": it.cancellation_reason,
        "capture_method": it.capture_method,
        "client_secret": it.client_secret,
        "confirmation_method": it.confirmation_method,
        "created": it.created,
        "currency": it.currency,
        "customer": it.customer,
        "customer_account": None,
        "description": it.description,
        "excluded_payment_method_types": None,
        "last_payment_error": it.last_error,
        "latest_charge": it.latest_charge,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": it.metadata,
        "next_action": _next_action(it),
        "on_behalf_of": None,
        "payment_method": it.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": card_options},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": it.receipt_email,
        "review": None,
        "setup_future_usage": it.setup_future_usage,
        "shipping": shipping(it.shipping),
        "statement_descriptor": it.statement_descriptor,
        "statement_descriptor_suffix": it.statement_descriptor_suffix,
        "status": it.status,
        "transfer_data": None,
        "transfer_group": it.transfer_group,
    }


def setup_intent(it: SetupIntent) -> Tree:
    automatic = None if it.allow_redirects is None else {"allow_redirects": it.allow_redirects, "enabled": True}
    card_options = {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
    return {
        "id": it.id,
        "object": "setup_intent",
        "allowed_payment_method_types": it.allowed_payment_method_types,
        "application": None,
        "automatic_payment_methods": automatic,
        "cancellation_reason": it.cancellation_reason,
        "client_secret": it.client_secret,
        "created": it.created,
        "customer": it.customer,
        "customer_account": None,
        "description": it.description,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": it.last_error,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": it.metadata,
        "next_action": _next_action(it),
        "on_behalf_of": None,
        "payment_method": it.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": card_options},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": it.status,
        "usage": it.usage,
    }


def _next_action(it: PaymentIntent | SetupIntent) -> Tree | None:
    if it.status != "requires_action":
        return None
    if it.return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": it.page}}
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": it.return_url, "url": it.page}}


def refund(it: Refund) -> Tree:
    rendered: Tree = {
        "id": it.id,
        "object": "refund",
        "amount": it.amount,
        "balance_transaction": it.balance_transaction,
        "charge": it.charge,
        "created": it.created,
        "currency": it.currency,
        "customer": it.customer,
        "customer_account": None,
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "metadata": it.metadata,
        "payment_intent": it.intent,
        "payment_method": it.payment_method,
        "reason": it.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": it.status,
        "transfer_reversal": None,
    }
    if it.status == "pending":
        rendered["pending_reason"] = "processing"
    if it.failure_reason:
        rendered["failure_reason"] = it.failure_reason
        rendered["failure_balance_transaction"] = it.failure_balance_transaction
    return rendered


def balance_transaction(it: BalanceTransaction) -> Tree:
    fee = {"amount": it.fee, "application": None, "currency": it.currency, "type": "stripe_fee"}
    return {
        "id": it.id,
        "object": "balance_transaction",
        "amount": it.amount,
        "available_on": it.created,
        "balance_type": "payments",
        "created": it.created,
        "currency": it.currency,
        "description": it.description,
        "exchange_rate": None,
        "fee": it.fee,
        "fee_details": [{**fee, "description": "Stripe processing fees"}] if it.fee else [],
        "net": it.amount - it.fee,
        "reporting_category": it.type,
        "source": it.source,
        "status": "available",
        "type": it.type,
    }


_RENDERERS: dict[type[Any], Callable[[Any], Tree]] = {
    PaymentMethod: payment_method,
    Token: token,
    Customer: customer,
    PaymentIntent: payment_intent,
    SetupIntent: setup_intent,
    Charge: charge,
    Refund: refund,
    BalanceTransaction: balance_transaction,
}


def render(record: Record) -> Tree:
    return _RENDERERS[type(record)](record)


def card_error(
    *, code: str, message: str, charge: str | None, decline_code: str | None, advice: str | None, method: Tree
) -> Tree:
    """`last_payment_error` as the intent keeps it; the 402 answer says the same with the intent inside."""
    error: Tree = {
        "charge": charge,
        "code": code,
        "decline_code": decline_code,
        "advice_code": advice,
        "doc_url": doc_url(code),
        "message": message,
        "payment_method": method,
        "type": "card_error",
    }
    if decline_code in NETWORK_DECLINE_CODES:
        error["network_decline_code"] = NETWORK_DECLINE_CODES[decline_code]
    return {name: value for name, value in error.items() if value is not None}
