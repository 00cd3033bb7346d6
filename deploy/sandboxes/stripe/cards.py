"""Stripe's test cards: by payment method id (`pm_card_visa`), token (`tok_visa`) and number (4242…).

Source: https://docs.stripe.com/testing. A card is known by its name here; numbers are never stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploy.sandboxes.stripe.errors import CardDeclined, StripeError, invalid

Authentication = Literal["never", "always", "until_set_up"]


@dataclass(frozen=True, slots=True)
class Decline:
    """What the issuer answers. `decline_code` is None where Stripe gives none."""

    code: str
    message: str
    decline_code: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class RefundCourse:
    """How a refund goes on, in seconds from when it is made. `pending`: until it has succeeded (0: at once, None: until
    it is told so). `bounces`: until the bank returns it (None: never)."""

    pending: float | None = 0.0
    bounces: float | None = None
    reason: str = "expired_or_canceled_card"
    """The `failure_reason` of one that the bank returns."""


AT_ONCE = RefundCourse()
LATER = 2.0
"""Seconds: Stripe says "some time later" (https://docs.stripe.com/testing#refunds)."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card and how its issuer behaves."""

    name: str
    number: str
    brand: str = "visa"
    country: str = "US"
    funding: str = "credit"
    decline: Decline | None = None
    authentication: Authentication = "never"
    refund: RefundCourse = AT_ONCE

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def course(self) -> str:
        """What happens when it is charged and refunded, in a sentence."""
        first = {
            "never": "",
            "always": "asks for 3-D Secure, then ",
            "until_set_up": "asks for 3-D Secure unless it was kept before, then ",
        }[self.authentication]
        if self.name == KEPT_BUT_DECLINED:
            return f"can be kept, and is declined when it is charged: {GENERIC.decline_code}"
        if self.decline:
            return f"{first}is declined: {self.decline.decline_code or self.decline.code}"
        if self.refund.bounces is not None:
            return f"{first}pays; its refunds come back from the bank"
        return f"{first}pays" + ("; its refunds are pending at first" if self.refund.pending else "")

    @property
    def fingerprint(self) -> str:
        return f"fp{hash_of(self.number):014x}"


def hash_of(text: str) -> int:
    """Stable across processes, unlike `hash`."""
    value = 0xCBF29CE484222325
    for letter in text.encode():
        value = ((value ^ letter) * 0x100000001B3) % 2**56
    return value


def _declined(decline_code: str, message: str = "Your card was declined.", advice: str = "try_again_later") -> Decline:
    return Decline("card_declined", message, decline_code, advice)


GENERIC = _declined("generic_decline")
INSUFFICIENT_FUNDS = _declined("insufficient_funds", "Your card has insufficient funds.")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)

KEPT_BUT_DECLINED = "chargeCustomerFail"

_ALL = (
    Card("visa", "4242424242424242"),
    Card("visa_debit", "4000056655665556", funding="debit"),
    Card("visa_1881", "4012888888881881"),
    Card("mastercard", "5555555555554444", "mastercard"),
    Card("mastercard_debit", "5200828282828210", "mastercard", funding="debit"),
    Card("mastercard_prepaid", "5105105105105100", "mastercard", funding="prepaid"),
    Card("mastercard_2series", "2223003122003222", "mastercard"),
    Card("amex", "378282246310005", "amex"),
    Card("discover", "6011111111111117", "discover"),
    Card("diners", "3056930009020004", "diners"),
    Card("jcb", "3566002020360505", "jcb"),
    Card("unionpay", "6200000000000005", "unionpay"),
    Card("ca", "4000001240000000", country="CA"),
    Card("de", "4000002760000016", country="DE"),
    Card("fr", "4000002500000003", country="FR"),
    Card("gb", "4000008260000000", country="GB"),
    Card("jp", "4000003920000003", country="JP"),
    Card("visa_chargeDeclined", "4000000000000002", decline=GENERIC),
    Card("visa_chargeDeclinedInsufficientFunds", "4000000000009995", decline=INSUFFICIENT_FUNDS),
    Card("visa_chargeDeclinedLostCard", "4000000000009987", decline=_declined("lost_card", advice="do_not_try_again")),
    Card(
        "visa_chargeDeclinedStolenCard", "4000000000009979", decline=_declined("stolen_card", advice="do_not_try_again")
    ),
    Card("chargeDeclinedExpiredCard", "4000000000000069", decline=Decline("expired_card", "Your card has expired.")),
    Card(
        "chargeDeclinedIncorrectCvc",
        "4000000000000127",
        decline=Decline("incorrect_cvc", "Your card's security code is incorrect."),
    ),
    Card(
        "chargeDeclinedProcessingError",
        "4000000000000119",
        decline=Decline("processing_error", "An error occurred while processing your card. Try again in a little bit."),
    ),
    Card(
        "visa_chargeDeclinedVelocityLimitExceeded",
        "4000000000006975",
        decline=_declined(
            "card_velocity_exceeded",
            "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        ),
    ),
    Card("radarBlock", "4100000000000019", decline=_declined("fraudulent", advice="do_not_try_again")),
    Card(KEPT_BUT_DECLINED, "4000000000000341", decline=GENERIC),
    Card("threeDSecureRequired", "4000000000003063", authentication="always"),
    Card("threeDSecure2Required", "4000000000003220", authentication="always"),
    Card("authenticationRequired", "4000002760003184", country="DE", authentication="always"),
    Card("authenticationRequiredOnSetup", "4000002500003155", country="FR", authentication="until_set_up"),
    Card("threeDSecureRequiredChargeDeclined", "4000008400001629", decline=GENERIC, authentication="always"),
    Card(
        "authenticationRequiredChargeDeclinedInsufficientFunds",
        "4000008260003178",
        country="GB",
        decline=INSUFFICIENT_FUNDS,
        authentication="always",
    ),
    Card("pendingRefund", "4000000000007726", refund=RefundCourse(pending=LATER)),
    Card("refundFail", "4000000000005126", refund=RefundCourse(bounces=LATER)),
)

CARDS = {card.name: card for card in _ALL}
_BY_NUMBER = {card.number: card for card in _ALL}
_ALIASES = {
    "us": "visa",
    "chargeDeclined": "visa_chargeDeclined",
    "chargeDeclinedInsufficientFunds": "visa_chargeDeclinedInsufficientFunds",
    "chargeDeclinedLostCard": "visa_chargeDeclinedLostCard",
    "chargeDeclinedStolenCard": "visa_chargeDeclinedStolenCard",
    "chargeDeclinedVelocityLimitExceeded": "visa_chargeDeclinedVelocityLimitExceeded",
    "visa_chargeDeclinedExpiredCard": "chargeDeclinedExpiredCard",
    "visa_chargeDeclinedIncorrectCvc": "chargeDeclinedIncorrectCvc",
    "visa_chargeDeclinedProcessingError": "chargeDeclinedProcessingError",
    "chargeDeclinedFraudulent": "radarBlock",
    "visa_chargeDeclinedFraudulent": "radarBlock",
}


def by_test_id(identifier: str, prefix: Literal["pm_card_", "tok_"]) -> Card | None:
    """The card behind `pm_card_visa` or `tok_visa`; None where Stripe has no such test id."""
    if not identifier.startswith(prefix):
        return None
    name = identifier.removeprefix(prefix)
    return CARDS.get(_ALIASES.get(name, name))


def by_number(number: str, param: str) -> Card:
    """Raises Stripe's error for a number that is none, and its test-mode decline for one that is no test card."""
    digits = number.replace(" ", "").replace("-", "")
    if digits in _BY_NUMBER:
        return _BY_NUMBER[digits]
    if not digits.isdigit() or not 12 <= len(digits) <= 19:
        raise invalid("The card number is not a valid credit card number.", param, "invalid_number")
    if not _passes_luhn(digits):
        raise StripeError(
            402, "Your card number is incorrect.", type="card_error", code="incorrect_number", param=param
        )
    raise CardDeclined(
        402,
        "Your card was declined. Your request was in test mode, but used a non test card. "
        "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
        type="card_error",
        code="card_declined",
        decline_code="test_mode_live_card",
    )


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
