"""SetupIntents: a card is checked and kept for later; no money moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploy.sandboxes.stripe import methods
from deploy.sandboxes.stripe.books import Transaction
from deploy.sandboxes.stripe.cards import CARDS, KEPT_BUT_DECLINED
from deploy.sandboxes.stripe.errors import CardDeclined, invalid, refused
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.objects import Customer, PaymentMethod, SetupIntent
from deploy.sandboxes.stripe.rendering import card_error, payment_method, setup_intent

CREATE = (
    *("payment_method", "payment_method_data", "allowed_payment_method_types", "automatic_payment_methods", "customer"),
    *(
        "description",
        "metadata",
        "usage",
        "confirm",
        "return_url",
        "payment_method_options",
        "use_stripe_sdk",
        "expand",
    ),
)
CONFIRM = ("payment_method", "payment_method_data", "return_url", "payment_method_options", "use_stripe_sdk", "expand")


def create(tx: Transaction, form: Form) -> SetupIntent:
    methods.refuse_types(form)
    form.only(CREATE)
    identifier = tx.new_id(SetupIntent)
    fields: dict[str, Any] = {"description": form.text("description"), "metadata": form.metadata()}
    if customer := form.text("customer"):
        fields["customer"] = tx.find(Customer, customer, "customer").id
    fields |= methods.allowed(form)
    fields["usage"] = form.choice("usage", ("off_session", "on_session")) or "off_session"
    setup = SetupIntent(identifier, tx.now, tx.new_secret(identifier), **fields)
    method = methods.given(tx, form)
    if method is not None:
        setup = replace(setup, payment_method=method.id, status="requires_confirmation")
    tx.put(setup)
    tx.emit("setup_intent.created", setup)
    return _confirm(tx, setup, form) if form.flag("confirm") else setup


def confirm(tx: Transaction, identifier: str, form: Form) -> SetupIntent:
    form.only(CONFIRM)
    setup = tx.find(SetupIntent, identifier)
    if setup.status in ("succeeded", "canceled"):
        message = f"You cannot confirm this SetupIntent because it has a status of {setup.status}."
        raise refused(message, "setup_intent_unexpected_state", setup_intent=setup_intent(setup))
    method = methods.given(tx, form)
    return _confirm(tx, replace(setup, payment_method=method.id) if method else setup, form)


def _confirm(tx: Transaction, setup: SetupIntent, form: Form) -> SetupIntent:
    if setup.payment_method is None:
        message = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise invalid(message, None, "setup_intent_unexpected_state")
    return_url = form.text("return_url") or setup.return_url
    if return_url is None and setup.allow_redirects == "always":
        message = "This SetupIntent may redirect your customer off of your page: you must provide a `return_url`."
        raise invalid(message, "return_url")
    setup = replace(setup, return_url=return_url, last_error=None)
    method = tx.find(PaymentMethod, setup.payment_method or "", "payment_method")
    if CARDS[method.card].authentication == "never":
        return _verify(tx, setup, method)
    page = f"{tx.base}/3d_secure/{setup.id}/{setup.client_secret[-20:]}"
    setup = tx.put(replace(setup, status="requires_action", page=page))
    tx.emit("setup_intent.requires_action", setup)
    return setup


def _verify(tx: Transaction, setup: SetupIntent, method: PaymentMethod) -> SetupIntent:
    decline = CARDS[method.card].decline
    if decline is None or method.card == KEPT_BUT_DECLINED:
        tx.put(replace(method, customer=setup.customer or method.customer, set_up=True))
        setup = tx.put(replace(setup, status="succeeded", page=None))
        tx.emit("setup_intent.succeeded", setup)
        return setup
    error = card_error(
        code=decline.code,
        message=decline.message,
        charge=None,
        decline_code=decline.decline_code,
        advice=decline.advice,
        method=payment_method(method),
    )
    setup = replace(setup, status="requires_payment_method", payment_method=None, page=None, last_error=error)
    tx.put(setup)
    tx.emit("setup_intent.setup_failed", setup)
    raise CardDeclined(402, **error, saved=True, setup_intent=setup_intent(setup))


def authenticate(tx: Transaction, setup: SetupIntent, *, passed: bool) -> SetupIntent:
    method = tx.find(PaymentMethod, setup.payment_method or "")
    if passed:
        try:
            return _verify(tx, setup, method)
        except CardDeclined:
            return tx.find(SetupIntent, setup.id)
    error = {
        "code": "setup_intent_authentication_failure",
        "doc_url": "https://docs.stripe.com/error-codes/setup-intent-authentication-failure",
        "message": "The latest attempt to set up the payment method has failed because authentication failed.",
        "payment_method": payment_method(method),
        "type": "invalid_request_error",
    }
    setup = replace(setup, status="requires_payment_method", payment_method=None, page=None, last_error=error)
    tx.put(setup)
    tx.emit("setup_intent.setup_failed", setup)
    return setup


def cancel(tx: Transaction, identifier: str, form: Form) -> SetupIntent:
    form.only(("cancellation_reason", "expand"))
    setup = tx.find(SetupIntent, identifier)
    if setup.status in ("succeeded", "canceled"):
        message = f"You cannot cancel this SetupIntent because it has a status of {setup.status}."
        raise refused(message, "setup_intent_unexpected_state", setup_intent=setup_intent(setup))
    reason = form.choice("cancellation_reason", ("abandoned", "requested_by_customer", "duplicate"))
    setup = tx.put(replace(setup, status="canceled", cancellation_reason=reason, page=None))
    tx.emit("setup_intent.canceled", setup)
    return setup
