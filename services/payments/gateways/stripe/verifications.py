"""Cards verified and kept at Stripe: an amount is authorised and released (a PaymentIntent with manual capture), or the
card is set up (a SetupIntent). The card is attached to a customer that is made for the order.

Sources: https://docs.stripe.com/payments/save-during-payment, https://docs.stripe.com/payments/place-a-hold-on-a-payment-method,
https://docs.stripe.com/payments/save-and-reuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import stripe

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import KEY_LIFETIME
from services.payments.domain.verification import (
    FindVerification,
    ForgetCard,
    ReleaseVerification,
    VerificationResult,
    VerifyCard,
)
from services.payments.gateways.stripe.api import INTENTS, METHODS, StripeApi
from services.payments.gateways.stripe.calls import (
    CLOCKS_DIFFER,
    StripeCalls,
    descriptor_suffix,
    looked_up,
    nothing_to_find,
)
from services.payments.gateways.stripe.currencies import from_stripe, to_stripe
from services.payments.gateways.stripe.errors import (
    charge_refused_for,
    code_of,
    decline_reason,
    details_of,
    not_an_outcome,
    words_of,
)
from services.payments.gateways.stripe.objects import Json, action_url, card_in, decline, declined_thing
from shared.core import NotDone, NotTried, Outcome

SETUPS, CUSTOMERS = "/v1/setup_intents", "/v1/customers"
EXPANDED = ["payment_method"]
MISSING = "resource_missing"
SETUP_PREFIX = "seti_"
UNEXPECTED = ("payment_intent_unexpected_state", "setup_intent_unexpected_state")


def customer_params(verify: VerifyCard) -> Mapping[str, Any]:
    return {"email": verify.email, "metadata": {"order": verify.order, "store": verify.store}}


def verification_params(
    verify: VerifyCard, customer: str, method: str, descriptor: str
) -> tuple[str, Mapping[str, Any]]:
    """The path, and what is asked of it."""
    params: dict[str, Any] = {
        "confirm": True,
        "customer": customer,
        "payment_method": method,
        "return_url": verify.return_url,
        "description": f"Order {verify.number}: the card is verified",
        "metadata": {
            "order": verify.order,
            "number": verify.number,
            "store": verify.store,
            "verification": str(verify.verification),
            "key": verify.key,
        },
        "expand": EXPANDED,
    }
    if not verify.amount:
        return SETUPS, params | {"usage": "off_session"}
    params |= {
        "amount": to_stripe(verify.amount, verify.currency),
        "currency": verify.currency.lower(),
        "capture_method": "manual",
        "setup_future_usage": "off_session",
    }
    suffix = descriptor_suffix(verify.descriptor)
    return INTENTS, params | ({"statement_descriptor_suffix": suffix} if suffix else {})


def verification_result(thing: Json) -> VerificationResult:
    """Of a PaymentIntent or a SetupIntent. Raises ValueError for an amount that we cannot have asked for."""
    id, method = thing["id"], thing.get("payment_method")
    card = card_in(method)
    kept = str((method["id"] if isinstance(method, Mapping) else method) or "")
    match thing["status"]:
        case "requires_capture" | "succeeded":
            held = from_stripe(thing.get("amount_capturable") or 0, thing["currency"]) if "currency" in thing else 0
            return VerificationResult(
                id,
                "verified",
                held,
                card=card,
                customer=str(thing.get("customer") or ""),
                payment_method=kept,
            )
        case "requires_action":
            return VerificationResult(id, "requires_action", url=action_url(thing), card=card)
        case "canceled":
            return VerificationResult(id, "cancelled", card=card, payment_method=kept)
        case "requires_payment_method" | "requires_confirmation":
            error = thing.get("last_payment_error") or thing.get("last_setup_error")
            if not error:
                reason = DeclineReason.NOT_CHARGED
                return VerificationResult(id, "failed", card=card, code="not_verified", reason=reason)
            code, text, declined = decline(error)
            return VerificationResult(
                id, "failed", card=declined or card, code=code, text=text, reason=decline_reason(code)
            )
    return VerificationResult(id, "processing", card=card)


def verification_outcome(result: VerificationResult) -> VerifyCard.Done | VerifyCard.Failed:
    if result.status == "failed":
        return VerifyCard.Failed(result.code, result.text, result.reference, result.card, result.reason)
    return VerifyCard.Done(result)


def verification_declined(error: stripe.CardError) -> VerifyCard.Failed:
    body = details_of(error)
    code, text, card = decline(body)
    return VerifyCard.Failed(code, text, declined_thing(body), card, decline_reason(code))


async def look_up(api: StripeApi, wanted: VerifyCard | FindVerification, since: float) -> Json | None:
    """By our key, among all made since a time (Unix seconds). One that was verified takes precedence."""
    best: Json | None = None
    path = INTENTS if wanted.amount else SETUPS
    async for thing in api.every(path, {"created": {"gte": int(since)}}):
        metadata = thing.get("metadata") or {}
        if (metadata.get("order"), metadata.get("key")) != (wanted.order, wanted.key):
            continue
        if best is None or thing["status"] in ("requires_capture", "succeeded"):
            best = thing
    return await read_verification(api, best["id"]) if best else None


async def read_verification(api: StripeApi, reference: str) -> Json:
    return await api.call("get", _path_of(reference) + "/{}", {"expand": EXPANDED}, of=reference)


async def release(api: StripeApi, wanted: ReleaseVerification) -> ReleaseVerification.Done | ReleaseVerification.Failed:
    """Releasing twice is harmless, so it needs no key."""
    try:
        thing = await api.call(
            "post", _path_of(wanted.reference) + "/{}/cancel", {"cancellation_reason": "abandoned"}, of=wanted.reference
        )
    except stripe.InvalidRequestError as error:
        if error.code not in UNEXPECTED:
            raise
        thing = await read_verification(api, wanted.reference)
    result = verification_result(thing)
    if result.held or result.status in ("requires_action", "processing"):
        text = f"The verification is {thing['status']} at Stripe. Check it in the dashboard."
        return ReleaseVerification.Failed("unexpected_state", text)
    return ReleaseVerification.Done(result)


async def forget(api: StripeApi, wanted: ForgetCard) -> ForgetCard.Done:
    """Detached, a card cannot be charged any more. Stripe refuses to detach it twice: then it is looked up."""
    try:
        await api.call("post", METHODS + "/{}/detach", {}, of=wanted.payment_method)
    except stripe.InvalidRequestError as error:
        if error.code == MISSING:
            return ForgetCard.Done()
        try:
            method = await api.call("get", METHODS + "/{}", {}, of=wanted.payment_method)
        except stripe.InvalidRequestError:
            raise error from None
        if method.get("customer"):
            raise
    return ForgetCard.Done()


def _path_of(reference: str) -> str:
    return SETUPS if reference.startswith(SETUP_PREFIX) else INTENTS


class StripeVerifications(StripeCalls):
    """Verifies cards, and finds what was verified."""

    async def verification(
        self, operation: VerifyCard | ReleaseVerification | FindVerification | ForgetCard, key: str
    ) -> Outcome | NotTried:
        match operation:
            case VerifyCard():
                return await self._verify(operation, key)
            case ReleaseVerification():
                return await release(self, operation)
            case FindVerification():
                return await self._find_verification(operation)
            case ForgetCard():
                return await forget(self, operation)

    async def _verify(self, verify: VerifyCard, key: str) -> Outcome | NotTried:
        """A customer is made first, for whom the card is kept."""
        if not (verify.payment_method or verify.token):
            text = "The order has no payment method."
            return VerifyCard.Failed("no_payment_method", text, reason=DeclineReason.METHOD_UNUSABLE)
        late = self.now() > verify.until.timestamp()
        if late or self.now() - verify.since.timestamp() > KEY_LIFETIME.total_seconds():
            found = await looked_up(lambda: self.verification_on_record(verify))
            if not isinstance(found, NotDone):
                return found
            if late:
                return NotTried("The time to verify the card has passed.")

        try:
            who = customer_params(verify)
            customer = await self.make_once(CUSTOMERS, who, f"{key}.customer", nothing_to_find)
            method = verify.payment_method or await self.method_of(verify.token, key)
            path, params = verification_params(
                verify, str(customer["id"]), method, descriptor_suffix(verify.descriptor)
            )
            made = await self.make_once(path, params, key, lambda: self._verification_of(verify))
        except stripe.CardError as declined:
            if not_an_outcome(declined):
                raise
            return verification_declined(declined)
        return verification_outcome(verification_result(made))

    async def _verification_of(self, wanted: VerifyCard | FindVerification) -> Json | None:
        return await look_up(self, wanted, wanted.since.timestamp() - CLOCKS_DIFFER)

    async def verification_on_record(self, verify: VerifyCard) -> Outcome | NotDone:
        found = await self._verification_of(verify)
        return verification_outcome(verification_result(found)) if found else NotDone()

    async def _find_verification(self, find: FindVerification) -> Outcome:
        found = await (read_verification(self, find.reference) if find.reference else self._verification_of(find))
        if found is None:
            reason = DeclineReason.NOT_CHARGED
            return FindVerification.Done(VerificationResult("", "failed", code="not_verified", reason=reason))
        return FindVerification.Done(verification_result(found))


def verification_refused(
    operation: VerifyCard | ReleaseVerification | FindVerification | ForgetCard,
) -> Callable[[stripe.StripeError], Outcome]:
    def refused(error: stripe.StripeError) -> Outcome:
        code, text = code_of(error), words_of(error)
        if isinstance(operation, VerifyCard):
            return VerifyCard.Failed(code, text, reason=charge_refused_for(error))
        return type(operation).Failed(code, text)

    return refused
