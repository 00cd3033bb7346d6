"""Payment methods, tokens and customers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploy.sandboxes.stripe.books import Transaction
from deploy.sandboxes.stripe.cards import Card, by_number, by_test_id
from deploy.sandboxes.stripe.errors import invalid, missing
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.objects import Customer, PaymentMethod, Token

CARD_FIELDS = ("number", "exp_month", "exp_year", "cvc", "token", "networks")
EXPIRES_IN_YEARS = 4
SECONDS_A_YEAR = 31_556_952


def year_of(now: int) -> int:
    return 1970 + now // SECONDS_A_YEAR


def _of_test_card(tx: Transaction, card: Card) -> PaymentMethod:
    """What a test id stands for: each use makes a payment method of its own, as at Stripe."""
    expiry = year_of(tx.now) + EXPIRES_IN_YEARS
    return tx.put(PaymentMethod(tx.new_id(PaymentMethod), tx.now, card.name, exp_month=12, exp_year=expiry))


def of_id(tx: Transaction, identifier: str, param: str = "payment_method") -> PaymentMethod:
    card = by_test_id(identifier, "pm_card_")
    return _of_test_card(tx, card) if card else tx.find(PaymentMethod, identifier, param)


def usable(tx: Transaction, identifier: str, param: str = "payment_method") -> PaymentMethod:
    method = of_id(tx, identifier, param)
    if method.detached:
        message = "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
        raise invalid(f"{message}Customer, and may not be used again.", param)
    return method


def of_data(tx: Transaction, data: Form) -> PaymentMethod:
    """`payment_method_data`, or the body of POST /v1/payment_methods."""
    if data.required("type") != "card":
        raise invalid("The Stripe sandbox knows payment methods of type card only.", data.name_of("type"))
    card = data.inside("card")
    if card is None:
        param = data.name_of("card")
        raise invalid(f"Missing required param: {param}.", param, "parameter_missing")
    card.only(CARD_FIELDS)
    method = _of_token(tx, card) if "token" in card else _of_number(tx, card)
    billing = data.tree("billing_details")
    return tx.put(replace(method, billing_details=billing, metadata=data.metadata()))


def _of_token(tx: Transaction, card: Form) -> PaymentMethod:
    identifier = card.required("token")
    if test_card := by_test_id(identifier, "tok_"):
        return _of_test_card(tx, test_card)
    token = tx.get(Token, identifier)
    if token is None:
        raise missing("token", identifier, card.name_of("token"))
    if token.used:
        raise invalid(f"You cannot use a Stripe token more than once: {identifier}.", None, "token_already_used")
    tx.put(replace(token, used=True))
    return PaymentMethod(tx.new_id(PaymentMethod), tx.now, token.card, token.exp_month, token.exp_year)


def _of_number(tx: Transaction, card: Form) -> PaymentMethod:
    test_card, month, year = _read_card(tx, card)
    return PaymentMethod(tx.new_id(PaymentMethod), tx.now, test_card.name, month, year)


def _read_card(tx: Transaction, card: Form) -> tuple[Card, int, int]:
    month, year = card.integer("exp_month"), card.integer("exp_year")
    test_card = by_number(card.required("number"), card.name_of("number"))
    if month is None or not 1 <= month <= 12:
        raise invalid("Your card's expiration month is invalid.", card.name_of("exp_month"), "invalid_expiry_month")
    year = year + 2000 if year is not None and year < 100 else year
    if year is None or year < year_of(tx.now):
        raise invalid("Your card's expiration year is invalid.", card.name_of("exp_year"), "invalid_expiry_year")
    return test_card, month, year


def given(tx: Transaction, form: Form) -> PaymentMethod | None:
    """The payment method that a request to pay names, if it names one."""
    data = form.inside("payment_method_data")
    if data is not None:
        data.only(("type", "card", "billing_details", "metadata", "allow_redisplay"))
        return of_data(tx, data)
    identifier = form.text("payment_method")
    return usable(tx, identifier) if identifier else None


def refuse_types(form: Form) -> None:
    """Gone since 2026-09-30 (endive)."""
    if "payment_method_types" in form:
        message = (
            "The `payment_method_types` parameter is no longer supported on this API version. Remove it to use dynamic "
            "payment methods, or use `allowed_payment_method_types`."
        )
        raise invalid(message, "payment_method_types", "payment_method_types_no_longer_supported")


def allowed(form: Form) -> dict[str, Any]:
    """Which kinds of payment method an intent takes: those Stripe chooses, or a list. The two exclude each other."""
    types = form.list_of("allowed_payment_method_types")
    automatic = form.inside("automatic_payment_methods")
    if types and automatic:
        message = (
            "You may only specify one of these parameters: allowed_payment_method_types, automatic_payment_methods."
        )
        raise invalid(message)
    if types:
        if "card" not in types:
            raise invalid("The Stripe sandbox knows cards only.", "allowed_payment_method_types")
        return {"allowed_payment_method_types": types, "allow_redirects": None}
    if automatic is None:
        return {}
    automatic.only(("enabled", "allow_redirects"))
    return {"allow_redirects": automatic.choice("allow_redirects", ("always", "never")) or "always"}


def create_payment_method(tx: Transaction, form: Form) -> PaymentMethod:
    form.only(("type", "card", "billing_details", "metadata", "allow_redisplay", "expand"))
    return of_data(tx, form)


def attach(tx: Transaction, identifier: str, form: Form) -> PaymentMethod:
    form.only(("customer", "expand"))
    customer = tx.find(Customer, form.required("customer"), "customer")
    return tx.put(replace(usable(tx, identifier), customer=customer.id))


def detach(tx: Transaction, identifier: str, form: Form) -> PaymentMethod:
    form.only(("expand",))
    method = tx.find(PaymentMethod, identifier)
    if method.customer is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise invalid(message, None, None)
    return tx.put(replace(method, customer=None, detached=True))


def create_token(tx: Transaction, form: Form) -> Token:
    form.only(("card", "expand"))
    card = form.inside("card")
    if card is None:
        raise invalid("Missing required param: card.", "card", "parameter_missing")
    card.only(("number", "exp_month", "exp_year", "cvc", "name"))
    test_card, month, year = _read_card(tx, card)
    return tx.put(Token(tx.new_id(Token), tx.now, test_card.name, month, year))


CUSTOMER_FIELDS = ("email", "name", "phone", "description", "address", "metadata", "expand")


def create_customer(tx: Transaction, form: Form) -> Customer:
    form.only(CUSTOMER_FIELDS)
    return _with_fields(tx, Customer(tx.new_id(Customer), tx.now), form)


def update_customer(tx: Transaction, identifier: str, form: Form) -> Customer:
    form.only(CUSTOMER_FIELDS)
    return _with_fields(tx, tx.find(Customer, identifier), form)


def _with_fields(tx: Transaction, customer: Customer, form: Form) -> Customer:
    texts: dict[str, Any] = {
        name: form.text(name) for name in ("email", "name", "phone", "description") if name in form
    }
    metadata = form.metadata(customer.metadata)
    address = form.tree("address") if "address" in form else customer.address
    return tx.put(replace(customer, **texts, address=address, metadata=metadata))
