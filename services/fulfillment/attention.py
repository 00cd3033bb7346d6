"""Deliveries that wait for staff: codes to add, parcels to send, access that was not revoked."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.shell.ports.attention import MOST, Attention

_EMPTY_POOLS = """
    select split_part(p.key, '/', 1) as store, substr(p.key, strpos(p.key, '/') + 1) as pool, p.waiting,
        coalesce((select max(taken_at) from codes c where c.key = p.key), p.changed_at) as since
    from code_pools p
    where p.data is not null
        and (p.waiting > 0 or not exists (select from codes c where c.key = p.key and c.order_key is null))
    order by since limit :most
"""
_NOT_REVOKED = "select key, changed_at as since, not_revoked as total from deliveries where not_revoked > 0"
_PARCELS = (
    "select count(*) as orders, min(changed_at) as since, sum(parcels) as total from deliveries where parcels > 0"
)


async def empty_pools(connection: AsyncConnection) -> list[Attention]:
    """Pools of which the next order gets no code, or some wait already."""
    return [
        Attention(
            "empty code pool",
            f"{row.store}/{row.pool}",
            row.since,
            f"{row.waiting} orders wait for codes" if row.waiting else "No codes are left",
            f"orderbus add-codes {row.store} {row.pool} FILE",
            max(row.waiting, 1),
        )
        for row in await connection.execute(sa.text(_EMPTY_POOLS), {"most": MOST})
    ]


async def not_revoked(connection: AsyncConnection) -> list[Attention]:
    """Courses that customers may still enter although their orders were cancelled or refunded."""
    statement = sa.text(f"{_NOT_REVOKED} order by changed_at limit :most")
    return [
        Attention(
            "access not revoked",
            row.key,
            row.since,
            "Access could not be revoked: revoke it on the course platform, then record it",
            f"orderbus settle item {row.key} revoked --reason TEXT",
            row.total,
        )
        for row in await connection.execute(statement, {"most": MOST})
    ]


async def parcels(connection: AsyncConnection) -> list[Attention]:
    """Daily work: one entry for all."""
    row = (await connection.execute(sa.text(_PARCELS))).one()
    if not row.orders:
        return []
    reason = "Items wait to be sent, then: orderbus ship ORDER --carrier NAME --tracking NUMBER"
    command = "orderbus orders --status processing"
    return [Attention("parcels", f"{row.orders} orders", row.since, reason, command, int(row.total), routine=True)]


ATTENTION = (empty_pools, not_revoked, parcels)
