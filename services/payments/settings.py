"""Payments' settings: its own section, one for each payment provider, and the pay page's."""

from __future__ import annotations

from services.payments.gateways.stripe.pay_form import form_problem
from services.payments.gateways.stripe.settings import StripeSettings
from shared.pay_links import PayPageSettings
from shared.settings import ServiceSettings, Settings, name_of


class PaymentsSettings(Settings):
    payments: ServiceSettings
    stripe: StripeSettings
    pay_page: PayPageSettings = PayPageSettings()

    def problem(self) -> str:
        if self.pay_page.url is None:
            return ""
        setting, why = form_problem(self.stripe)
        return f"{name_of(('stripe', setting))}: {why}" if setting else ""
