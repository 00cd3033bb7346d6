"""What is watched about money as a whole: overdue refunds, and unknown outcomes."""

from __future__ import annotations

from shared.shell.ports.tables import TableGauge

GAUGES = (
    TableGauge(
        "payments_unresolved",
        "Payments with a charge or refund whose outcome is unknown.",
        "select count(*) from payments where unresolved",
    ),
    TableGauge(
        "refunds_owed",
        "Refunds that were requested more than a day ago and are not made yet.",
        "select count(*) from operations where kind = 'RefundCharge' and requested_at < now() - interval '1 day'",
    ),
)
