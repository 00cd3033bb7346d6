"""Which card the pay page takes: Stripe's fields, or test cards, which are for the sandbox alone."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.declines import CUSTOMER_TEXTS, DeclineReason
from services.payments.gateways.stripe.pay_form import TEST_CARDS, is_stripe, pay_form
from services.payments.gateways.stripe.settings import StripeSettings
from services.payments.pay_page import policy
from services.payments.pay_page_view import TEMPLATES, Shown
from services.payments.settings import PaymentsSettings
from shared.pay_links import PayPageSettings
from shared.settings import example_settings

SANDBOX, REAL = "http://127.0.0.1:4242", "https://api.stripe.com"
PAGE = PayPageSettings.model_validate({"url": "https://pay.example", "keys": "a-key-of-these-tests-of-32-characters"})


def stripe(key: str = "sk_test_x", base: str = SANDBOX, **more: str) -> StripeSettings:
    return StripeSettings.model_validate({"api_key": key, "api_base": base, "webhook_secret": "whsec_x"} | more)


def problem(settings: StripeSettings, page: PayPageSettings = PAGE) -> str:
    update: dict[str, Any] = {"stripe": settings, "pay_page": page}
    return example_settings(PaymentsSettings).model_copy(update=update).problem()


def test_against_the_sandbox_there_are_test_cards_and_no_others() -> None:
    form = pay_form(stripe())

    assert form
    assert form.cards == TEST_CARDS
    assert form.takes("pm_card_visa")
    for other in ("pm_1QzXcard", "pm_card_other", "4242424242424242", ""):
        assert not form.takes(other)
    assert (form.script, form.sources) == ("", {})


@pytest.mark.parametrize(
    "settings", [stripe("sk_live_x"), stripe("rk_live_x"), stripe(base=REAL), stripe(base="https://API.Stripe.com/v1")]
)
def test_there_are_no_test_cards_against_the_real_stripe(settings: StripeSettings) -> None:
    assert pay_form(settings) is None
    assert problem(settings)


def test_the_payment_element_takes_what_stripe_makes() -> None:
    form = pay_form(stripe("sk_live_x", REAL, publishable_key="pk_live_x"))

    assert form
    assert form.takes("pm_1QzXcardAndMore")
    assert form.takes("pm_" + "a" * 197)
    for other in ("pm_card_visa", "tok_visa", "4242424242424242", "", "pm_", "pm_" + "a" * 198):
        assert not form.takes(other)
    assert form.data_of(500, "ISK", "fi") == {
        "publishable-key": "pk_live_x",
        "mode": "payment",
        "amount": "50000",
        "currency": "isk",
        "locale": "fi",
    }
    to_verify = form.data_of(0, "ISK", "fi")
    assert (to_verify["mode"], to_verify.get("amount")) == ("setup", None)


def test_the_policy_allows_our_own_files_and_what_stripe_needs() -> None:
    own = policy(Shown("N", pay_form(stripe())))
    assert own == (
        "default-src 'none'; script-src 'nonce-N'; style-src 'nonce-N'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    element = policy(Shown("N", pay_form(stripe(REAL, REAL, publishable_key="pk_test_x"))))
    assert "script-src 'nonce-N' https://js.stripe.com https://*.js.stripe.com;" in element
    assert "frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com" in element
    assert "connect-src 'self' https://api.stripe.com;" in element
    assert "unsafe" not in element


def test_payments_does_not_start_with_a_page_on_which_no_card_can_be_chosen() -> None:
    assert problem(stripe()) == ""
    assert problem(stripe("sk_live_x", REAL, publishable_key="pk_live_x")) == ""
    assert problem(stripe("sk_live_x", REAL)).startswith("ORDERBUS_STRIPE__PUBLISHABLE_KEY: is missing")
    assert "another mode" in problem(stripe("sk_live_x", REAL, publishable_key="pk_test_x"))
    assert "another mode" in problem(stripe("sk_test_x", REAL, publishable_key="pk_live_x"))
    assert problem(stripe("sk_live_x")).startswith("ORDERBUS_STRIPE__API_KEY: is of live mode")
    assert problem(stripe("sk_live_x", REAL), PayPageSettings()) == ""


def test_what_is_stripe() -> None:
    assert is_stripe(REAL) and is_stripe("https://js.stripe.com/v3/")
    assert not is_stripe(SANDBOX) and not is_stripe("https://stripe.com.example")


def test_the_page_has_a_text_for_each_reason_and_each_test_card() -> None:
    parts = (TEMPLATES / "parts.html").read_text(encoding="utf-8")
    for reason, text in CUSTOMER_TEXTS.items():
        assert text in parts
        assert f'"{reason.value}"' in parts or reason is DeclineReason.CARD_DECLINED
    for card in TEST_CARDS:
        assert f'"{card}"' in parts
