"""The pages of the tests' orders, with test cards and with the provider's own fields."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from services.payments.gateways.stripe.pay_form import pay_form
from services.payments.gateways.stripe.settings import StripeSettings
from tests.browser.chromium import browser, page
from tests.browser.shop import PayServer
from tests.integration.stripe_sandbox_rig import listening

__all__ = ["browser", "page"]
STUB = Path(__file__).with_name("stub.js")


def stripe_settings(**more: str) -> StripeSettings:
    fields = {"api_key": "sk_test_orderbus", "api_base": "http://127.0.0.1:1", "webhook_secret": "whsec_x"}
    return StripeSettings.model_validate(fields | more)


@pytest_asyncio.fixture(scope="session")
async def server() -> AsyncIterator[PayServer]:
    """With test cards, as against Stripe's sandbox."""
    server = PayServer(pay_form(stripe_settings()))
    async with listening(server.application()) as url:
        server.url = url
        yield server


@pytest_asyncio.fixture(scope="session")
async def with_stub() -> AsyncIterator[PayServer]:
    """With the provider's own fields, as in production; its script is a stub, of another origin."""
    scripts = PayServer(None, STUB.read_text(encoding="utf-8"))
    async with listening(scripts.application()) as foreign:
        settings = stripe_settings(publishable_key="pk_test_orderbus", script_url=f"{foreign}/stub.js")
        server = PayServer(pay_form(settings))
        async with listening(server.application()) as url:
            server.url = url
            yield server
