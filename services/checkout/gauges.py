"""Metrics of orders that are paid and not delivered, or not paid in time."""

from __future__ import annotations

from shared.contracts.values import OrderStatus as S
from shared.shell.ports.tables import TableGauge

STUCK = "15 minutes"
"""A delivery that waits for nothing takes seconds, with all its retries minutes."""
UNATTENDED = "3 days"
"""For a delivery that waits for a parcel, a code or staff."""

_IN_PROGRESS = (
    """jsonb_path_exists(data, '$.lines[*] ? (@.delivery == "pending" && !(@.refunded_whole == true))')"""
    """ or jsonb_path_exists(data, '$.extras[*] ? (@.delivery == "pending")')"""
)
_BY_ITSELF = "data->>'held' is null and data->>'to_start' is distinct from 'true'"

GAUGES = (
    TableGauge(
        "orders_paid_unfinished",
        "Orders that are paid and not fully delivered.",
        f"select count(*) from orders where status = '{S.PROCESSING}'",
    ),
    TableGauge(
        "orders_paid_unfinished_overdue",
        f"Paid orders unchanged for {STUCK} with a delivery in progress, or unchanged for {UNATTENDED}.",
        f"select count(*) from orders where status = '{S.PROCESSING}' and changed_at < now() - interval '{STUCK}' "
        f"and (changed_at < now() - interval '{UNATTENDED}' or {_BY_ITSELF} and ({_IN_PROGRESS}))",
    ),
    TableGauge(
        "orders_failed",
        "Paid orders whose delivery failed: they need attention.",
        f"select count(*) from orders where status = '{S.FAILED}' and deadline is null",
    ),
    TableGauge(
        "orders_payment_overdue",
        "Orders not expired although their time to pay ended more than 5 minutes ago, and no outcome is unknown.",
        f"select count(*) from orders where status in ('{S.PENDING_PAYMENT}', '{S.FAILED}') "
        "and deadline < now() - interval '5 minutes' "
        "and data->>'charge' is distinct from 'unresolved'",
    ),
)
