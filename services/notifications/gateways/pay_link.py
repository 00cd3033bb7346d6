"""The link to the pay page in an email that asks to pay, made when the email is sent: nothing stored has it."""

from __future__ import annotations

from datetime import datetime

from services.notifications.domain.operations import SendEmail
from shared.core.fast_dataclasses import replace
from shared.pay_links import PayLinks


def with_pay_link(email: SendEmail, links: PayLinks | None) -> SendEmail:
    """Where there is no pay page, the link that checkout gave stays: the order's page in the shop, or the bank's."""
    pay = email.data.get("pay")
    if links is None or pay is None:
        return email
    url = links.url(pay["order"], datetime.fromisoformat(pay["until"]))
    return replace(email, data={**email.data, "url": url})
