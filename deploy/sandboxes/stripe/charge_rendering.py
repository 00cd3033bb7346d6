"""Charges as Stripe's JSON, with the parts that other objects share: addresses and billing details."""

from __future__ import annotations

from deploy.sandboxes.stripe.cards import CARDS
from deploy.sandboxes.stripe.objects import Charge, Tree

RECEIPTS = "https://pay.stripe.com/receipts/payment"
NETWORK_DECLINE_CODES = {"generic_decline": "01", "insufficient_funds": "51", "lost_card": "41", "stolen_card": "43"}
_NO_ADDRESS = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}


def address(given: Tree | None) -> Tree:
    return {**_NO_ADDRESS, **(given or {})}


def billing_details(given: Tree | None) -> Tree:
    given = given or {}
    return {
        "address": address(given.get("address")),
        "email": given.get("email"),
        "name": given.get("name"),
        "phone": given.get("phone"),
        "tax_id": given.get("tax_id"),
    }


def shipping(given: Tree | None) -> Tree | None:
    if given is None:
        return None
    return {"carrier": None, "phone": None, "tracking_number": None, **given, "address": address(given.get("address"))}


def charge(it: Charge) -> Tree:
    return {
        "id": it.id,
        "object": "charge",
        "amount": it.amount,
        "amount_captured": it.amount_captured,
        "amount_refunded": it.amount_refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": it.balance_transaction,
        "billing_details": billing_details(it.billing_details),
        "calculated_statement_descriptor": _descriptor(it),
        "captured": it.captured,
        "created": it.created,
        "currency": it.currency,
        "customer": it.customer,
        "description": it.description,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": it.failure_code,
        "failure_message": it.failure_message,
        "fraud_details": {},
        "livemode": False,
        "metadata": it.metadata,
        "on_behalf_of": None,
        "outcome": _outcome(it),
        "paid": it.status == "succeeded",
        "payment_intent": it.intent,
        "payment_method": it.payment_method,
        "payment_method_details": {"card": _card_details(it), "type": "card"},
        "radar_options": {},
        "receipt_email": it.receipt_email,
        "receipt_number": None,
        "receipt_url": f"{RECEIPTS}/{it.id}" if it.status == "succeeded" else None,
        "refunded": it.captured and it.amount_refunded == it.amount_captured,
        "review": None,
        "shipping": shipping(it.shipping),
        "source_transfer": None,
        "statement_descriptor": it.statement_descriptor,
        "statement_descriptor_suffix": it.statement_descriptor_suffix,
        "status": it.status,
        "transfer_data": None,
        "transfer_group": it.transfer_group,
    }


def _descriptor(it: Charge) -> str:
    suffix = f"* {it.statement_descriptor_suffix}" if it.statement_descriptor_suffix else ""
    return (it.statement_descriptor or f"SANDBOX{suffix}")[:22]


def _outcome(it: Charge) -> Tree:
    approved = it.status == "succeeded"
    blocked = it.decline_code == "fraudulent"
    reason = it.decline_code or it.failure_code
    return {
        "advice_code": it.advice_code,
        "network_advice_code": None,
        "network_decline_code": None if approved else NETWORK_DECLINE_CODES.get(reason or "", "05"),
        "network_status": "approved_by_network" if approved else "declined_by_network",
        "reason": reason,
        "risk_level": "highest" if blocked else "normal",
        "risk_score": 95 if blocked else 20,
        "seller_message": "Payment complete." if approved else "The bank did not return any further details.",
        "type": "authorized" if approved else "issuer_declined",
    }


def _card_details(it: Charge) -> Tree:
    card = CARDS[it.card]
    details: Tree = {
        "amount_authorized": it.amount if it.status == "succeeded" else None,
        "authorization_code": "123456" if it.status == "succeeded" else None,
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "exp_month": it.exp_month,
        "exp_year": it.exp_year,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": it.id[-15:],
        "overcapture": {"maximum_amount_capturable": it.amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": _three_d_secure(it) if it.authenticated else None,
        "wallet": None,
    }
    if it.capture_before is not None:
        details["capture_before"] = it.capture_before
    return details


def _three_d_secure(it: Charge) -> Tree:
    return {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": it.id[-12:],
        "version": "2.2.0",
    }
