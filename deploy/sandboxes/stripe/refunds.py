"""Refunds: never more than was captured.

pending ─► succeeded ─► failed (the bank returned it)
   └──────────────────────▲
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from deploy.sandboxes.stripe import money
from deploy.sandboxes.stripe.books import Transaction
from deploy.sandboxes.stripe.cards import CARDS
from deploy.sandboxes.stripe.errors import invalid, refused
from deploy.sandboxes.stripe.form import Form
from deploy.sandboxes.stripe.objects import BalanceTransaction, Charge, PaymentIntent, Refund

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(tx: Transaction, form: Form) -> Refund:
    form.only(("charge", "payment_intent", "amount", "reason", "metadata", "currency", "expand"))
    reason = form.choice("reason", REASONS)
    asked = form.integer("amount", least=1)
    metadata = form.metadata()
    charge = _charge(tx, form)
    left = charge.amount_captured - charge.amount_refunded
    if left <= 0:
        raise refused(f"Charge {charge.id} has already been refunded.", "charge_already_refunded")
    amount = left if asked is None else asked
    if amount > left:
        wanted, rest = money.text(amount, charge.currency), money.text(left, charge.currency)
        raise refused(f"Refund amount ({wanted}) is greater than unrefunded amount on charge ({rest})", None, "amount")
    money.check_step(amount, charge.currency)
    identifier = tx.new_id(Refund)
    refund = Refund(
        identifier, tx.now, charge.id, charge.intent, amount, charge.currency, charge.payment_method, charge.customer
    )
    refund = replace(refund, reason=reason, metadata=metadata)
    return _pay_back(tx, charge, refund)


def _charge(tx: Transaction, form: Form) -> Charge:
    """The captured charge that is to be refunded."""
    if "charge" not in form and "payment_intent" not in form:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if identifier := form.text("charge"):
        charge = tx.find(Charge, identifier, "charge")
    else:
        intent = tx.find(PaymentIntent, form.required("payment_intent"), "payment_intent")
        latest = tx.get(Charge, intent.latest_charge or "")
        if latest is None or not latest.captured:
            message = f"This PaymentIntent ({intent.id}) does not have a successful charge to refund."
            raise refused(message, "charge_not_refundable" if latest else None, "payment_intent")
        charge = latest
    if not charge.captured:
        raise refused(f"Charge {charge.id} was not captured and cannot be refunded.", None, "charge")
    return charge


def _pay_back(tx: Transaction, charge: Charge, refund: Refund) -> Refund:
    """What is returned is the refund as its maker sees it; what happens to it at once is told by events."""
    course, made = tx.course or CARDS[charge.card].refund, max(tx.exact, tx.now)
    movement = _movement(tx, "refund", -refund.amount, refund)
    refund = replace(refund, balance_transaction=movement.id, bounces_for=course.reason)
    if course.pending != 0:
        refund = replace(refund, status="pending", succeeds_at=_after(made, course.pending))
    refund = tx.put(replace(refund, bounces_at=_after(made, course.bounces)))
    refunded = charge.amount_refunded + refund.amount
    charge = tx.put(replace(charge, amount_refunded=refunded, refunds=(*charge.refunds, refund.id)))
    tx.emit("refund.created", refund)
    tx.emit("charge.refunded", charge)
    go_on(tx, refund, made)
    return refund


def _after(made: float, seconds: float | None) -> float | None:
    return None if seconds is None else made + seconds


def go_on(tx: Transaction, refund: Refund, at: float) -> None:
    """What has happened to a refund by then without a request."""
    if refund.succeeds_at is not None and refund.succeeds_at <= at:
        refund = succeed(tx, refund)
    if refund.bounces_at is not None and refund.bounces_at <= at:
        bounce(tx, refund, refund.bounces_for)


def succeed(tx: Transaction, refund: Refund) -> Refund:
    _expect(refund, "succeed", "pending")
    refund = tx.put(replace(refund, status="succeeded", succeeds_at=None))
    _tell_changed(tx, refund)
    return refund


def bounce(tx: Transaction, refund: Refund, reason: str) -> Refund:
    """The bank does not take the money, or returns it: it can be refunded again.

    Source: https://docs.stripe.com/refunds#failed-refunds."""
    _expect(refund, "fail", "pending", "succeeded")
    movement = _movement(tx, "refund_failure", refund.amount, refund)
    failed = replace(refund, status="failed", failure_reason=reason, succeeds_at=None, bounces_at=None)
    failed = tx.put(replace(failed, failure_balance_transaction=movement.id))
    charge = tx.find(Charge, refund.charge)
    tx.put(replace(charge, amount_refunded=charge.amount_refunded - refund.amount))
    _tell_changed(tx, failed)
    tx.emit("refund.failed", failed)
    return failed


def _expect(refund: Refund, verb: str, *statuses: str) -> None:
    if refund.status not in statuses:
        raise refused(f"Refund {refund.id} cannot {verb}: its status is {refund.status}.")


def _tell_changed(tx: Transaction, refund: Refund) -> None:
    """Stripe sends the second for some payment methods, cards among them."""
    tx.emit("refund.updated", refund)
    tx.emit("charge.refund.updated", refund)


def _movement(
    tx: Transaction, kind: Literal["refund", "refund_failure"], amount: int, refund: Refund
) -> BalanceTransaction:
    identifier = tx.new_id(BalanceTransaction)
    return tx.put(BalanceTransaction(identifier, tx.now, kind, amount, refund.currency, refund.id))


def update(tx: Transaction, identifier: str, form: Form) -> Refund:
    form.only(("metadata", "expand"))
    refund = tx.find(Refund, identifier)
    refund = tx.put(replace(refund, metadata=form.metadata(refund.metadata)))
    _tell_changed(tx, refund)
    return refund
