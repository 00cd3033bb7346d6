"""Money whose movement is unknown or overdue."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.plurals import counted
from shared.shell.ports.attention import Attention
from shared.shell.postgres.oldest import oldest

OWED = "1 day"
"""As the alert OrderbusRefundsOwed has it."""

_UNRESOLVED = """
    select number, changed_at as since,
        jsonb_path_exists(data, '$.attempts[*] ? (@.status == "unresolved")') as charge
    from payments where unresolved
"""
_OWED = f"""
    select o.key, coalesce(p.number, o.key) as number, o.requested_at as since, o.attempts, o.error
    from operations o left join payments p on p.key = o.key
    where o.kind = 'RefundCharge' and o.requested_at < clock_timestamp() - interval '{OWED}'
"""


async def unresolved_payments(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _UNRESOLVED, _unresolved)


def _unresolved(row: Any) -> Attention:
    what, outcomes = ("payment", "captured|not_charged") if row.charge else ("refund", "refunded|not_refunded")
    text = f"The outcome of a {'charge' if row.charge else 'refund'} is unknown: look it up at the provider"
    command = f"orderbus settle {what} {row.number} {outcomes} --reason TEXT"
    return Attention(f"unresolved {what}", row.number, row.since, text, command)


async def owed_refunds(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _OWED, _owed)


def _owed(row: Any) -> Attention:
    text = f"Not made after {counted(row.attempts, 'attempt')}: {row.error[:200]}"
    return Attention("refund owed", row.number, row.since, text, f"orderbus waiting {row.key} --service payments")


ATTENTION = {"unresolved payments": unresolved_payments, "refunds owed": owed_refunds}
