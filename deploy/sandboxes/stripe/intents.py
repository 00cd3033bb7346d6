"""PaymentIntents: from the request to pay to the money, or to the word why not.

requires_payment_method ─► requires_confirmation ─► requires_action ─► succeeded
        ▲    ▲                      │   (3-D Secure)      │   │           ▲
        │    └──── declined ────────┤                     │   └► requires_capture ─► canceled (or 7 days passed)
        └───────── authentication failed ─────────────────┘
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deploy.sandboxes.stripe import methods, money
from deploy.sandboxes.stripe.books import Transaction
from deploy.sandboxes.stripe.cards import AUTHENTICATION_REQUIRED, CARDS, Decline
from deploy.sandboxes.stripe.errors import CardDeclined, StripeError, invalid, refused
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.objects import BalanceTransaction, Charge, Customer, PaymentIntent, PaymentMethod, Tree
from deploy.sandboxes.stripe.rendering import card_error, payment_intent, payment_method

AUTHORISATION_SECONDS = 7 * 24 * 3600
SUFFIX_LENGTH = 22

DETAILS = ("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix", "setup_future_usage")
UPDATE = (*DETAILS, "amount", "currency", "metadata", "payment_method", "payment_method_data", "customer", "shipping")
CREATE = (
    *UPDATE,
    *("automatic_payment_methods", "allowed_payment_method_types", "capture_method", "confirmation_method"),
    "transfer_group",
    *("confirm", "off_session", "error_on_requires_action", "return_url", "payment_method_options", "use_stripe_sdk"),
    "expand",
)
CONFIRM = (
    *(
        "payment_method",
        "payment_method_data",
        "return_url",
        "off_session",
        "error_on_requires_action",
        "receipt_email",
    ),
    *("capture_method", "setup_future_usage", "shipping", "payment_method_options", "use_stripe_sdk", "expand"),
)


def create(tx: Transaction, form: Form) -> PaymentIntent:
    methods.refuse_types(form)
    form.only(CREATE)
    currency = money.read_currency(form)
    amount = money.read_amount(form, currency)
    identifier = tx.new_id(PaymentIntent)
    intent = PaymentIntent(identifier, tx.now, tx.new_secret(identifier), amount, currency, **_details(tx, form))
    method = methods.given(tx, form)
    if method is not None:
        intent = replace(intent, payment_method=method.id, status="requires_confirmation")
    tx.put(intent)
    tx.emit("payment_intent.created", intent)
    if form.flag("confirm"):
        return _confirm(tx, intent, form)
    for name in ("return_url", "off_session", "error_on_requires_action"):
        if name in form:
            raise invalid(f"You can only pass `{name}` when `confirm` is set to `true`.", name)
    return intent


def _details(tx: Transaction, form: Form) -> dict[str, Any]:
    """What create takes over as it was sent."""
    fields: dict[str, Any] = {name: form.text(name) for name in (*DETAILS, "transfer_group")}
    suffix = fields["statement_descriptor_suffix"]
    if suffix and len(suffix) > SUFFIX_LENGTH:
        message = f"The statement descriptor suffix must be {SUFFIX_LENGTH} characters or less."
        raise invalid(message, "statement_descriptor_suffix")
    fields["customer"] = _customer(tx, form)
    fields["metadata"] = form.metadata()
    fields["shipping"] = form.tree("shipping")
    fields["capture_method"] = (
        form.choice("capture_method", ("automatic", "automatic_async", "manual")) or "automatic_async"
    )
    fields["confirmation_method"] = form.choice("confirmation_method", ("automatic", "manual")) or "automatic"
    fields["three_d_secure"] = _three_d_secure(form) or "automatic"
    return fields | methods.allowed(form)


def _customer(tx: Transaction, form: Form) -> str | None:
    identifier = form.text("customer")
    return tx.find(Customer, identifier, "customer").id if identifier else None


def _three_d_secure(form: Form) -> str | None:
    options = form.inside("payment_method_options")
    card = options.inside("card") if options else None
    return card.choice("request_three_d_secure", ("any", "automatic", "challenge")) if card else None


def update(tx: Transaction, identifier: str, form: Form) -> PaymentIntent:
    form.only((*UPDATE, "expand"))
    intent = tx.find(PaymentIntent, identifier)
    changes: dict[str, Any] = {name: form.text(name) for name in DETAILS if name in form}
    changes["metadata"] = form.metadata(intent.metadata)
    if "customer" in form:
        changes["customer"] = _customer(tx, form)
    if "shipping" in form:
        changes["shipping"] = form.tree("shipping")
    if {"amount", "currency", "payment_method", "payment_method_data"} & form.values.keys():
        _expect(intent, "updated", "requires_payment_method", "requires_confirmation", "requires_action")
    if "currency" in form:
        changes["currency"] = money.read_currency(form)
    if "amount" in form:
        changes["amount"] = money.read_amount(form, changes.get("currency", intent.currency))
    method = methods.given(tx, form)
    if method is not None:
        changes |= {"payment_method": method.id, "status": "requires_confirmation", "page": None}
    return tx.put(replace(intent, **changes))


def confirm(tx: Transaction, identifier: str, form: Form) -> PaymentIntent:
    methods.refuse_types(form)
    form.only(CONFIRM)
    intent = tx.find(PaymentIntent, identifier)
    if intent.status == "succeeded":
        message = "You cannot confirm this PaymentIntent because it has already succeeded after being confirmed."
        raise refused(message, "payment_intent_unexpected_state", payment_intent=payment_intent(intent))
    _expect(intent, "confirmed", "requires_payment_method", "requires_confirmation", "requires_action")
    method = methods.given(tx, form)
    if method is not None:
        intent = replace(intent, payment_method=method.id)
    for name in ("receipt_email", "capture_method", "setup_future_usage"):
        if name in form:
            changes: Tree = {name: form.text(name)}
            intent = replace(intent, **changes)
    return _confirm(tx, intent, form)


def _confirm(tx: Transaction, intent: PaymentIntent, form: Form) -> PaymentIntent:
    if intent.payment_method is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a "
            "payment method or ConfirmationToken."
        )
        raise invalid(message, None, "payment_intent_unexpected_state")
    if intent.statement_descriptor is not None:
        message = "The `statement_descriptor` parameter is not supported for cards: use `statement_descriptor_suffix`."
        raise invalid(message, "statement_descriptor")
    off_session = form.text("off_session") not in (None, "false")
    return_url = form.text("return_url") or intent.return_url
    if return_url is None and intent.allow_redirects == "always" and not off_session:
        message = (
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. "
            "If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to "
            "`never` when creating Setup Intents and Payment Intents."
        )
        raise invalid(message, "return_url")
    intent = replace(
        intent, return_url=return_url, last_error=None, three_d_secure=_three_d_secure(form) or intent.three_d_secure
    )
    method = tx.find(PaymentMethod, intent.payment_method or "", "payment_method")
    if tx.refusal is not None:
        raise tx.refusal
    if not must_authenticate(intent, method, off_session=off_session):
        return charge(tx, intent, method)
    if off_session or form.flag("error_on_requires_action"):
        return _declined(tx, intent, method, AUTHENTICATION_REQUIRED)
    page = f"{tx.base}/3d_secure/{intent.id}/{intent.client_secret[-20:]}"
    intent = tx.put(replace(intent, status="requires_action", page=page))
    tx.emit("payment_intent.requires_action", intent)
    return intent


def must_authenticate(intent: PaymentIntent, method: PaymentMethod, *, off_session: bool) -> bool:
    wanted = CARDS[method.card].authentication
    if wanted == "until_set_up":
        return not method.set_up
    return wanted == "always" or (not off_session and intent.three_d_secure in ("any", "challenge"))


def authenticate(tx: Transaction, intent: PaymentIntent, *, passed: bool) -> PaymentIntent:
    """The customer came through the 3-D Secure page, or did not. A decline is told by the intent, not raised."""
    method = tx.find(PaymentMethod, intent.payment_method or "")
    if passed:
        try:
            return charge(tx, replace(intent, page=None), method, authenticated=True)
        except CardDeclined:
            return tx.find(PaymentIntent, intent.id)
    error = {
        "code": "payment_intent_authentication_failure",
        "doc_url": "https://docs.stripe.com/error-codes/payment-intent-authentication-failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
        "PaymentMethod to attempt to fulfill this PaymentIntent again.",
        "payment_method": payment_method(method),
        "type": "invalid_request_error",
    }
    intent = replace(intent, status="requires_payment_method", payment_method=None, page=None, last_error=error)
    tx.put(intent)
    tx.emit("payment_intent.payment_failed", intent)
    return intent


def charge(
    tx: Transaction, intent: PaymentIntent, method: PaymentMethod, *, authenticated: bool = False
) -> PaymentIntent:
    """Asks the card's issuer. Raises CardDeclined, having left the failed charge in the books."""
    decline = CARDS[method.card].decline
    if decline is not None:
        return _declined(tx, intent, method, decline, authenticated=authenticated)
    if intent.setup_future_usage and intent.customer:
        method = tx.put(replace(method, customer=intent.customer, set_up=True))
    manual = intent.capture_method == "manual"
    made = _charge_for(tx, intent, method, authenticated=authenticated, status="succeeded", captured=False)
    if manual:
        made = tx.put(replace(made, capture_before=tx.now + AUTHORISATION_SECONDS))
        changes: Tree = {"status": "requires_capture", "amount_capturable": intent.amount}
        intent = tx.put(replace(intent, latest_charge=made.id, page=None, **changes))
        tx.emit("charge.succeeded", made)
        tx.emit("payment_intent.amount_capturable_updated", intent)
        return intent
    return _settle(tx, intent, made, intent.amount, "charge.succeeded")


def _charge_for(tx: Transaction, intent: PaymentIntent, method: PaymentMethod, **fields: Any) -> Charge:
    return tx.put(
        Charge(
            id=tx.new_id(Charge),
            created=tx.now,
            intent=intent.id,
            amount=intent.amount,
            currency=intent.currency,
            payment_method=method.id,
            card=method.card,
            exp_month=method.exp_month,
            exp_year=method.exp_year,
            metadata=intent.metadata,
            description=intent.description,
            receipt_email=intent.receipt_email,
            statement_descriptor=intent.statement_descriptor,
            statement_descriptor_suffix=intent.statement_descriptor_suffix,
            shipping=intent.shipping,
            billing_details=method.billing_details,
            customer=intent.customer,
            transfer_group=intent.transfer_group,
            **fields,
        )
    )


def _settle(tx: Transaction, intent: PaymentIntent, made: Charge, amount: int, event: str) -> PaymentIntent:
    """The money moves: `amount` of the charge is captured."""
    movement = BalanceTransaction(
        tx.new_id(BalanceTransaction),
        tx.now,
        "charge",
        amount,
        intent.currency,
        made.id,
        money.fee(amount, intent.currency),
        intent.description,
    )
    tx.put(movement)
    made = tx.put(replace(made, captured=True, amount_captured=amount, balance_transaction=movement.id))
    intent = replace(intent, status="succeeded", amount_received=amount, amount_capturable=0, page=None)
    intent = tx.put(replace(intent, latest_charge=made.id))
    tx.emit(event, made)
    tx.emit("payment_intent.succeeded", intent)
    return intent


def _declined(
    tx: Transaction, intent: PaymentIntent, method: PaymentMethod, decline: Decline, *, authenticated: bool = False
) -> PaymentIntent:
    made = _charge_for(
        tx,
        intent,
        method,
        authenticated=authenticated,
        status="failed",
        captured=False,
        failure_code=decline.code,
        decline_code=decline.decline_code,
        failure_message=decline.message,
        advice_code=decline.advice,
    )
    error = card_error(
        code=decline.code,
        message=decline.message,
        charge=made.id,
        decline_code=decline.decline_code,
        advice=decline.advice,
        method=payment_method(method),
    )
    intent = replace(intent, status="requires_payment_method", payment_method=None, page=None, latest_charge=made.id)
    intent = tx.put(replace(intent, last_error=error))
    tx.emit("charge.failed", made)
    tx.emit("payment_intent.payment_failed", intent)
    raise CardDeclined(402, **error, saved=True, payment_intent=payment_intent(intent))


def capture(tx: Transaction, identifier: str, form: Form) -> PaymentIntent:
    form.only(("amount_to_capture", "final_capture", "metadata", "statement_descriptor_suffix", "expand"))
    intent = tx.find(PaymentIntent, identifier)
    _expect(intent, "captured", "requires_capture")
    amount = form.integer("amount_to_capture", least=1)
    amount = intent.amount_capturable if amount is None else amount
    if amount > intent.amount_capturable:
        raise refused(
            f"The amount to capture {amount} exceeds the amount that can be captured {intent.amount_capturable}.",
            "amount_too_large",
            "amount_to_capture",
        )
    intent = replace(intent, metadata=form.metadata(intent.metadata))
    return _settle(tx, intent, tx.find(Charge, intent.latest_charge or ""), amount, "charge.captured")


def cancel(tx: Transaction, identifier: str, form: Form) -> PaymentIntent:
    form.only(("cancellation_reason", "expand"))
    reasons = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
    reason = form.choice("cancellation_reason", reasons)
    intent = tx.find(PaymentIntent, identifier)
    allowed = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
    _expect(intent, "canceled", *allowed)
    return _cancelled(tx, intent, reason)


def expire(tx: Transaction, intent: PaymentIntent) -> PaymentIntent:
    """Seven days passed without a capture: the authorisation is gone."""
    tx.emit("charge.expired", tx.find(Charge, intent.latest_charge or ""))
    return _cancelled(tx, intent, "expired")


def _cancelled(tx: Transaction, intent: PaymentIntent, reason: str | None) -> PaymentIntent:
    """No Refund and no change to the charge: so it is since 2025-03-31."""
    intent = replace(intent, status="canceled", canceled_at=tx.now, cancellation_reason=reason)
    intent = tx.put(replace(intent, amount_capturable=0, page=None))
    tx.emit("payment_intent.canceled", intent)
    return intent


def _expect(intent: PaymentIntent, verb: str, *statuses: str) -> None:
    if intent.status not in statuses:
        raise unexpected_state(intent, verb, statuses)


def unexpected_state(intent: PaymentIntent, verb: str, statuses: tuple[str, ...]) -> StripeError:
    return refused(
        f"This PaymentIntent could not be {verb} because it has a status of {intent.status}. Only a PaymentIntent "
        f"with one of the following statuses may be {verb}: {', '.join(statuses)}.",
        "payment_intent_unexpected_state",
        payment_intent=payment_intent(intent),
    )
