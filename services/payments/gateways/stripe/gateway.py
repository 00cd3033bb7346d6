"""Stripe: charges, cancellations and refunds through its SDK, with a closed set of outcomes.

`errors.py` says whose fault an error is: the network's, ours, or this order's.

Idempotency: a charge's key is its order and attempt, a refund's its id, so a repeated call within a day is safe. Stripe
repeats its first answer then; what was made is read again, since it can have moved on. Older ones are looked up in
Stripe's records first. Two of Stripe's answers do not say what was done: an old server error that is replayed, and a
key that was used with other parameters. Then the records are searched as well, and only if nothing is there, the call
is made under a key derived from the first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import stripe
from stripe.params import PaymentIntentCreateParams, RefundCreateParams

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import (
    KEY_LIFETIME,
    CancelCharge,
    ChargeCard,
    ChargeResult,
    FindCharge,
    FindFee,
    FindRefund,
    RefundCharge,
    RefundResult,
)
from services.payments.domain.verification import FindVerification, ForgetCard, ReleaseVerification, VerifyCard
from services.payments.gateways.stripe.api import EXPANDED, INTENTS, REFUNDS
from services.payments.gateways.stripe.calls import CLOCKS_DIFFER, descriptor_suffix, looked_up
from services.payments.gateways.stripe.currencies import to_stripe
from services.payments.gateways.stripe.errors import (
    charge_refused_for,
    code_of,
    decline_reason,
    details_of,
    not_an_outcome,
    words_of,
)
from services.payments.gateways.stripe.objects import (
    Json,
    charge_result,
    decline,
    declined_thing,
    fee_of,
    is_of_another,
    refund_result,
)
from services.payments.gateways.stripe.verifications import StripeVerifications, verification_refused
from shared.core import FailedOutcome, NoOutcome, NotDone, NotTried, Operation, Outcome, Retry, Unknown
from shared.core.ids import time_of

ABANDONED = {"cancellation_reason": "abandoned"}
LONGEST_WAIT = 8 * 86_400.0
"""Seconds."""
WAITS_FOR_STAFF = 3600.0
"""Seconds until a refund is tried again that cannot be made before staff act."""
STRIPE_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


class StripeGateway(StripeVerifications):
    """Performs every operation of payments at Stripe. Amounts in minor units."""

    # The port

    async def perform(self, operation: Operation, key: str) -> Outcome | NoOutcome:
        match operation:
            case ChargeCard():
                return await self.guarded(_charge_refused, lambda: self._charge(operation, key))
            case CancelCharge():
                return await self.guarded(_cancel_refused, lambda: self._cancel(operation))
            case RefundCharge():
                return await self.guarded(_refund_refused(type(operation)), lambda: self._refund(operation, key))
            case FindCharge() | FindFee() | FindRefund():
                return await self.guarded(_find_refused(type(operation).Failed), lambda: self._find(operation))
            case VerifyCard() | ReleaseVerification() | FindVerification() | ForgetCard():
                return await self.guarded(verification_refused(operation), lambda: self.verification(operation, key))
        raise TypeError(f"Stripe cannot perform {type(operation).__qualname__}")

    async def find(self, operation: Operation, key: str) -> Outcome | NotDone | NoOutcome:
        """By Stripe's records: a charge by order and attempt among all made since it was requested, a refund among
        those of its intent. All else can simply be done again."""
        match operation:
            case ChargeCard():
                return await self.guarded(_still_unknown, lambda: self._charge_on_record(operation))
            case RefundCharge():
                return await self.guarded(_still_unknown, lambda: self._refund_on_record(operation))
            case VerifyCard():
                return await self.guarded(_still_unknown, lambda: self.verification_on_record(operation))
        return NotDone()

    # Calls

    async def _charge(self, charge: ChargeCard, key: str) -> Outcome | NotTried:
        if not (charge.payment_method or charge.token):
            text = "The order has no payment method."
            return ChargeCard.Failed("no_payment_method", text, reason=DeclineReason.METHOD_UNUSABLE)
        if wrong := _not_in_units(charge):
            return ChargeCard.Failed("amount_off_step", wrong, reason=DeclineReason.NOT_CHARGEABLE)
        late = charge.until is not None and self.now() > charge.until.timestamp()
        if late or self.now() - self._since(charge.since) > KEY_LIFETIME.total_seconds():
            found = await looked_up(lambda: self._charge_on_record(charge))
            if not isinstance(found, NotDone):
                return found
            if late:
                return NotTried("The order's payment deadline has passed.")

        try:
            method = charge.payment_method or await self.method_of(charge.token, key)
            params = _charge_params(charge, method)
            made = await self.make_once(INTENTS, params, key, lambda: self._intent_of(charge))
        except stripe.CardError as declined:  # the SDK makes one of every answer with 402
            if not_an_outcome(declined):
                raise
            return _declined(declined)
        return _charge_outcome(charge_result(made))

    async def _cancel(self, cancel: CancelCharge) -> Outcome:
        """Cancelling twice is harmless, so it needs no key."""
        try:
            intent = await self.call("post", INTENTS + "/{}/cancel", ABANDONED, of=cancel.reference)
        except stripe.InvalidRequestError as error:
            if error.code != "payment_intent_unexpected_state":
                raise
            intent = await self.intent(cancel.reference)
        result = charge_result(intent)
        if result.status in ("succeeded", "cancelled"):
            return CancelCharge.Done(result)
        text = f"The payment is {intent['status']} at Stripe. Check it in the dashboard."
        return CancelCharge.Failed("unexpected_state", text)

    async def _refund(self, refund: RefundCharge, key: str) -> Outcome | NotTried:
        if wrong := _not_in_units(refund):
            return refund.Failed("amount_off_step", wrong)
        if refund.unconfirmed and is_of_another(await self.intent(refund.charge), refund.order):
            return refund.Failed("not_ours", f"{refund.charge} pays another order, so it is not refunded.")
        too_old = self.now() - _made_at(refund.refund, self.now()) > KEY_LIFETIME.total_seconds()
        if too_old or refund.tries > 1:  # an earlier try may have been made after all
            found = await looked_up(lambda: self._refund_on_record(refund))
            if not isinstance(found, NotDone):
                return found

        params = _refund_params(refund)
        made = await self.make_once(REFUNDS, params, key, lambda: self.refund_of(refund.charge, refund.refund))
        return refund.Done(refund_result(made))

    # Look-ups

    async def _find(self, find: FindCharge | FindFee | FindRefund) -> Outcome | Retry:
        match find:
            case FindCharge():
                return await self._find_charge(find)
            case FindFee():
                return await self._find_fee(find)
            case FindRefund():
                return await self._find_refund(find)

    async def _find_charge(self, find: FindCharge) -> Outcome:
        intent: Json | None
        if find.reference:
            intent = await self.intent(find.reference)
            if is_of_another(intent, find.order, find.attempt):
                return FindCharge.Failed("not_ours", f"{find.reference} belongs to another order or attempt at Stripe.")
        else:
            intent = await self.intent_of(find, self._since(find.since) - CLOCKS_DIFFER)
        if intent is None:
            text = "Stripe has no such payment."
            reason = DeclineReason.NOT_CHARGED
            return FindCharge.Done(ChargeResult("", "failed", code="not_charged", text=text, reason=reason))
        return FindCharge.Done(charge_result(intent))

    async def _find_fee(self, find: FindFee) -> Outcome | Retry:
        fee = fee_of(await self.intent(find.reference))
        return FindFee.Done(fee) if fee else Retry("Stripe does not say yet what it keeps of the charge.")

    async def _find_refund(self, find: FindRefund) -> Outcome:
        found = await self.refund_of(find.charge, find.refund, find.reference)
        if found is None and find.reference:
            text = f"Stripe has no refund {find.reference} of {find.charge}, or it was made for something else."
            return FindRefund.Failed("not_refunded", text)
        return FindRefund.Done(refund_result(found) if found else RefundResult("", "failed", "not_refunded"))

    async def _charge_on_record(self, charge: ChargeCard) -> Outcome | NotDone:
        found = await self._intent_of(charge)
        return _charge_outcome(charge_result(found)) if found else NotDone()

    async def _refund_on_record(self, refund: RefundCharge) -> Outcome | NotDone:
        found = await self.refund_of(refund.charge, refund.refund)
        return refund.Done(refund_result(found)) if found else NotDone()

    async def _intent_of(self, charge: ChargeCard) -> Json | None:
        return await self.intent_of(charge, self._since(charge.since) - CLOCKS_DIFFER)

    def _since(self, since: datetime | None) -> float:
        """Unix seconds. If it is unknown when something was requested: as long ago as an order can wait."""
        return since.timestamp() if since else self.now() - LONGEST_WAIT


# The meaning of a refused request


def _charge_refused(error: stripe.StripeError) -> ChargeCard.Failed:
    return ChargeCard.Failed(code_of(error), words_of(error), reason=charge_refused_for(error))


def _cancel_refused(error: stripe.StripeError) -> CancelCharge.Failed:
    return CancelCharge.Failed(code_of(error), words_of(error))


def _refund_refused(refund: type[RefundCharge]) -> Callable[[stripe.StripeError], RefundCharge.Failed | Retry]:
    """Retried where staff can remove the obstacle."""

    def refused(error: stripe.StripeError) -> RefundCharge.Failed | Retry:
        if code_of(error) in ("resource_missing", "balance_insufficient", "insufficient_funds"):
            return Retry(words_of(error), after=WAITS_FOR_STAFF)
        return refund.Failed(code_of(error), words_of(error))

    return refused


def _find_refused(failed: type[FailedOutcome]) -> Callable[[stripe.StripeError], Outcome]:
    return lambda error: failed(code_of(error), words_of(error))


def _still_unknown(error: stripe.StripeError) -> Unknown:
    """Stripe refused to look it up, which says nothing about whether it was done."""
    return Unknown(f"{code_of(error)}: {words_of(error)}")


def _not_in_units(it: ChargeCard | RefundCharge) -> str:
    """Why Stripe cannot be told this amount."""
    try:
        to_stripe(it.amount, it.currency)
    except ValueError as wrong:
        return str(wrong)
    return ""


def _charge_params(charge: ChargeCard, method: str) -> PaymentIntentCreateParams:
    params: PaymentIntentCreateParams = {
        "amount": to_stripe(charge.amount, charge.currency),
        "currency": charge.currency.lower(),
        "confirm": True,
        "payment_method": method,
        "return_url": charge.return_url,
        "description": f"Order {charge.number}",
        "metadata": {
            "order": charge.order,
            "number": charge.number,
            "attempt": str(charge.attempt),
            "store": charge.store,
            "key": charge.key,
        },
        # Stripe's default captures a little later than it answers: the answer would lack the fee.
        # https://docs.stripe.com/payments/payment-intents/asynchronous-capture
        "capture_method": "automatic",
        "expand": EXPANDED,
    }
    if charge.customer:
        params |= {"customer": charge.customer, "off_session": True}
    if suffix := descriptor_suffix(charge.descriptor):
        params["statement_descriptor_suffix"] = suffix
    return params


def _refund_params(refund: RefundCharge) -> RefundCreateParams:
    params: RefundCreateParams = {
        "payment_intent": refund.charge,
        "amount": to_stripe(refund.amount, refund.currency),
        "metadata": {"order": refund.order, "refund": refund.refund, "store": refund.store},
    }
    if refund.reason in STRIPE_REASONS:
        reason: Any = refund.reason
        params["reason"] = reason
    return params


def _charge_outcome(result: ChargeResult) -> ChargeCard.Done | ChargeCard.Failed:
    if result.status == "failed":
        return ChargeCard.Failed(result.code, result.text, result.reference, result.card, result.reason)
    return ChargeCard.Done(result)


def _declined(error: stripe.CardError) -> ChargeCard.Failed:
    body = details_of(error)
    code, text, card = decline(body)
    return ChargeCard.Failed(code, text, declined_thing(body), card, decline_reason(code))


def _made_at(id: str, otherwise: float) -> float:
    """When an id was made, in Unix seconds, if it is a UUIDv7."""
    try:
        made_at = time_of(UUID(id))
    except ValueError:
        return otherwise
    return made_at.timestamp() if made_at else otherwise
