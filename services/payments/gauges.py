"""What is watched about money as a whole: overdue refunds, and unknown outcomes."""

from __future__ import annotations

from services.payments.attention import OWED
from shared.shell.ports.tables import TableGauge

GAUGES = (
    TableGauge(
        "payments_unresolved",
        "Payments with a charge or refund whose outcome is unknown.",
        "select count(*) from payments where unresolved",
    ),
    TableGauge(
        "refunds_owed",
        "Payments with a refund that has been owed for more than a day (at the bank: for more than 14 days).",
        f"select count(*) from ({OWED}) owed",
    ),
)
