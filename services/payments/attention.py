"""Money whose movement is unknown or overdue."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.shell.ports.attention import MOST, Attention

OWED = "1 day"
"""As the alert OrderbusRefundsOwed has it."""

_UNRESOLVED = """
    select number, changed_at as since,
        jsonb_path_exists(data, '$.attempts[*] ? (@.status == "unresolved")') as charge
    from payments where unresolved order by changed_at limit :most
"""
_OWED = f"""
    select o.key, coalesce(p.number, o.key) as number, o.requested_at as since, o.attempts, o.error
    from operations o left join payments p on p.key = o.key
    where o.kind = 'RefundCharge' and o.requested_at < clock_timestamp() - interval '{OWED}'
    order by o.requested_at limit :most
"""


async def unresolved_payments(connection: AsyncConnection) -> list[Attention]:
    found = []
    for row in await connection.execute(sa.text(_UNRESOLVED), {"most": MOST}):
        what, outcomes = ("payment", "captured|not_charged") if row.charge else ("refund", "refunded|not_refunded")
        text = f"The outcome of a {'charge' if row.charge else 'refund'} is unknown: look it up at the provider"
        command = f"orderbus settle {what} {row.number} {outcomes} --reason TEXT"
        found.append(Attention(f"unresolved {what}", row.number, row.since, text, command))
    return found


async def owed_refunds(connection: AsyncConnection) -> list[Attention]:
    return [
        Attention(
            "refund owed",
            row.number,
            row.since,
            f"Not made after {row.attempts} attempts: {row.error[:200]}",
            f"orderbus waiting {row.key} --service payments",
        )
        for row in await connection.execute(sa.text(_OWED), {"most": MOST})
    ]


ATTENTION = (unresolved_payments, owed_refunds)
