"""What an order knows of its customer, and how it is without it."""

from __future__ import annotations

from services.checkout.domain.order import Extra, Line, Order
from services.checkout.domain.order_records import BillingDetails
from shared.contracts.storefront import Source
from shared.core import TimerMessage
from shared.core.fast_dataclasses import replace


class OrderKept(TimerMessage):
    """The personal data of an order that has ended was kept for as long as its store keeps it."""


def without_person(order: Order) -> Order:
    """Country, source and offer are in sums by day; discounts' codes are part of the amounts."""
    elsewhere = order.elsewhere and order.elsewhere.model_copy(update={"reference": ""})
    return replace(
        order,
        customer=None,
        lines=tuple(_line(line) for line in order.lines),
        extras=tuple(_extra(extra) for extra in order.extras),
        billing=None,
        shipping=None,
        details=BillingDetails(),
        opened=None,
        origin=Source(source=order.origin.source),
        locale=None,
        choice=None,
        pay_url=None,
        message=None,
        held=None,
        completion=None,
        elsewhere=elsewhere,
        asked=None,
        notes=0,
        messages=0,
        refused_refunds=(),
        return_refused="",
        terms_accepted_at=None,
    )


def _line(line: Line) -> Line:
    item = line.item.model_copy(update={"custom_fields": {}}) if line.item.custom_fields else line.item
    return replace(line, item=item, instructions=None, further_instructions=(), trouble="")


def _extra(extra: Extra) -> Extra:
    return replace(extra, instructions=None, further_instructions=(), trouble="")
