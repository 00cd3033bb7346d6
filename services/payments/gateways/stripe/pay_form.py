"""Stripe's part of the pay page: its Payment Element, or test cards where Stripe is our sandbox.

The Payment Element makes a payment method of what the customer enters, in frames of Stripe's own: card numbers never
reach this page (https://docs.stripe.com/payments/finalize-payments-on-the-server). What its script needs of the
Content-Security-Policy: https://docs.stripe.com/security/guide#content-security-policy.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from services.payments.gateways.pay_form import PayForm
from services.payments.gateways.stripe.currencies import to_stripe
from services.payments.gateways.stripe.settings import StripeSettings

TEST_CARDS = (
    "pm_card_visa",
    "pm_card_mastercard",
    "pm_card_threeDSecure2Required",
    "pm_card_visa_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedExpiredCard",
)
"""https://docs.stripe.com/testing#cards"""
FRAMES = ("https://hooks.stripe.com",)
API = "https://api.stripe.com"


class StripeForm(PayForm):
    __slots__ = ()

    def data_of(self, amount: int, currency: str, locale: str) -> dict[str, str]:
        return super().data_of(to_stripe(amount, currency), currency, locale)


def pay_form(settings: StripeSettings) -> PayForm | None:
    """None where they can choose none: test cards are for our sandbox alone."""
    if settings.publishable_key:
        return _element(settings)
    if is_stripe(settings.api_base) or not is_test_key(settings.api_key.get_secret_value()):
        return None
    return PayForm("stripe", cards=TEST_CARDS)


def form_problem(settings: StripeSettings) -> tuple[str, str]:
    """Which setting keeps the pay page from offering a card, and why; empty where none does."""
    live = not is_test_key(settings.api_key.get_secret_value())
    if settings.publishable_key:
        if live == settings.publishable_key.startswith("pk_live_"):
            return "", ""
        return "publishable_key", "is of another mode than API_KEY: one is for tests, the other for real cards"
    if is_stripe(settings.api_base):
        return "publishable_key", "is missing: the pay page needs it"
    return ("api_key", "is of live mode, and API_BASE is not Stripe: the pay page has test cards") if live else ("", "")


def is_stripe(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "stripe.com" or host.endswith(".stripe.com")


def is_test_key(key: str) -> bool:
    return key.startswith(("sk_test_", "rk_test_"))


def _element(settings: StripeSettings) -> PayForm:
    parts = urlsplit(settings.script_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    own = (f"https://*.{parts.netloc}",) if is_stripe(settings.script_url) else ()
    return StripeForm(
        "stripe",
        script=settings.script_url,
        data={"publishable-key": settings.publishable_key},
        sources={
            "script-src": (origin, *own),
            "frame-src": (origin, *own, *FRAMES),
            "connect-src": (API,),
        },
        shape=r"pm_[A-Za-z0-9]{8,197}",
    )
