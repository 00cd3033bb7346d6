"""What is watched about money as a whole: what the store owes for long, and what nobody knows."""

from __future__ import annotations

from shared.shell.ports.tables import TableGauge

GAUGES = (
    TableGauge(
        "payments_unresolved",
        "Payments with a charge or refund of which nobody knows what became of it.",
        "select count(*) from payments where unresolved",
    ),
    TableGauge(
        "refunds_owed",
        "Refunds that have been tried for a day and are not made.",
        "select count(*) from operations where kind = 'RefundCharge' and requested_at < now() - interval '1 day'",
    ),
)
