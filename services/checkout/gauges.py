"""What is watched about orders as a whole: those that somebody paid for and that do not get on (invariant 9)."""

from __future__ import annotations

from shared.shell.ports.tables import TableGauge

STUCK = "15 minutes"
"""A delivery that waits for nobody takes seconds, with all its retries minutes."""
UNATTENDED = "3 days"
"""For a parcel, a code or a person."""

_UNDER_WAY = """jsonb_path_exists(data, '$.lines[*] ? (@.delivery == "pending" && @.refunded_whole != true)')"""

GAUGES = (
    TableGauge(
        "orders_paid_unfinished",
        "Orders that are paid and not yet delivered whole.",
        "select count(*) from orders where status = 'processing'",
    ),
    TableGauge(
        "orders_paid_unfinished_overdue",
        f"… and in which nothing has changed: for {STUCK} though an item is under way, or for {UNATTENDED}.",
        f"select count(*) from orders where status = 'processing' and changed_at < now() - interval '{STUCK}' "
        f"and (changed_at < now() - interval '{UNATTENDED}' or {_UNDER_WAY})",
    ),
    TableGauge(
        "orders_failed",
        "Orders that are paid and whose delivery failed: somebody must see to them.",
        "select count(*) from orders where status = 'failed'",
    ),
    TableGauge(
        "orders_payment_overdue",
        "Orders whose time to pay was over five minutes ago, and that have not expired.",
        "select count(*) from orders where status = 'pending_payment' and deadline < now() - interval '5 minutes'",
    ),
)
