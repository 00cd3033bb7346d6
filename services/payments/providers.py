"""The payment providers. Payments, `orderbus check` and `orderbus doctor` take them from here."""

from __future__ import annotations

from services.payments.gateways.provider import Provider
from services.payments.gateways.stripe.provider import Stripe
from services.payments.settings import PaymentsSettings

PROVIDERS: tuple[type[Provider], ...] = (Stripe,)
"""Each has its capabilities in `domain/capabilities.py`, and its section of settings in `settings.py`."""


def providers_of(settings: PaymentsSettings) -> list[Provider]:
    return [provider(getattr(settings, provider.name)) for provider in PROVIDERS]
