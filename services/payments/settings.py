"""Payments' settings: its own section, and one for each payment provider."""

from __future__ import annotations

from services.payments.gateways.stripe.settings import StripeSettings
from shared.settings import ServiceSettings, Settings


class PaymentsSettings(Settings):
    payments: ServiceSettings
    stripe: StripeSettings
