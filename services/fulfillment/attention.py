"""Deliveries that wait for staff: codes to add, parcels to send, access that was not revoked."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.fulfillment.storage import TO_START
from shared.plurals import counted
from shared.shell.ports.attention import Attention
from shared.shell.postgres.oldest import oldest

EMPTY_POOLS = """
    select split_part(key, '/', 1) as store, substr(key, strpos(key, '/') + 1) as pool, waiting, since from (
        select p.key, p.waiting,
            coalesce(
                cast(p.data ->> 'low_since' as timestamptz),
                (select max(taken_at) from sealed_codes c where c.key = p.key and c.order_key is not null),
                (select max(taken_at) from codes c where c.key = p.key),
                p.changed_at
            ) as since
        from code_pools p
        where p.data is not null and (p.waiting > 0 or not (
            exists (select from sealed_codes c where c.key = p.key and c.order_key is null)
            or exists (select from codes c where c.key = p.key and c.order_key is null)
        ))
        union all
        select n.key, 0, min(n.changed_at)
        from (
            select split_part(key, '/', 1) || '/' || (action ->> 'pool') as key, changed_at
            from products, lateral (
                select data -> 'action' as action union all select jsonb_array_elements(data -> 'further')
            ) actions
            where action ->> 'kind' = 'code'
        ) n
        where not exists (select from code_pools p where p.key = n.key and p.data is not null)
        group by n.key
    ) empty
"""
"""Pools that were used up, and those of products that were never filled."""
LOW_POOLS = """
    select split_part(p.key, '/', 1) as store, substr(p.key, strpos(p.key, '/') + 1) as pool,
        coalesce(cast(p.data ->> 'low_since' as timestamptz), p.changed_at) as since,
        cast(p.data ->> 'low_water' as bigint) as mark, free.count as free
    from code_pools p, lateral (
        select count(*) from (
            (select from sealed_codes c where c.key = p.key and c.order_key is null
            limit cast(p.data ->> 'low_water' as bigint))
            union all (select from codes c where c.key = p.key and c.order_key is null
            limit cast(p.data ->> 'low_water' as bigint))
        ) some_codes
    ) free
    where cast(p.data ->> 'low_water' as bigint) > 0 and p.waiting = 0
        and free.count > 0 and free.count < cast(p.data ->> 'low_water' as bigint)
"""
"""Those with fewer codes than their mark, and some."""


_NAME = "coalesce(nullif(data ->> 'number', ''), key)"
"""As staff name the order: by its number, which deliveries of earlier builds lack."""


def _waiting(column: str, which: str) -> str:
    """Orders with such items, by what the oldest has waited since. `which`: a JSON path filter. What an older build
    wrote does not say."""
    since = f"jsonb_path_query(data, '$.items[*] ? ({which}).waits_since')"
    return f"""
        select {_NAME} as key, {column} as total,
            coalesce((select min((s.at #>> array[]::text[])::timestamptz) from {since} s (at)), changed_at) as since
        from deliveries where {column} > 0
    """


_NOT_REVOKED = _waiting("not_revoked", "exists(@.waits_since)")
_NOT_CONFIGURED = _waiting("not_configured", '@.status == "waiting_setup" || @.code == "unknown_server"')
_FAILING_SERVERS = """
    select key, data -> 'health' ->> 'text' as text,
        coalesce(cast(data ->> 'failing_since' as timestamptz), changed_at) as since
    from game_servers where failing
"""
_LOW_STOCK = """
    select key, on_hand - reserved as free, data ->> 'low_stock' as enough, (data ->> 'low_since')::timestamptz as since
    from stock where data ->> 'low_since' is not null
"""
_TASKS = _waiting("tasks", '@.status == "waiting_task"')
_HELD = f"""
    select {_NAME} as key, held as total, coalesce((data ->> 'held_since')::timestamptz, changed_at) as since
    from deliveries where held > 0
"""
_PARCELS = (
    "select count(*) as orders, min(changed_at) as since, sum(parcels) as total from deliveries where parcels > 0"
)


async def empty_pools(connection: AsyncConnection) -> list[Attention]:
    """Pools of which the next order gets no code, or some wait already."""
    return await oldest(connection, EMPTY_POOLS, _empty_pool)


def _empty_pool(row: Any) -> Attention:
    text = "No codes are left"
    if row.waiting:
        text = counted(row.waiting, "order waits for codes", "orders wait for codes")
    command = f"orderbus codes import FILE --store {row.store} --pool {row.pool}"
    return Attention("empty code pool", f"{row.store}/{row.pool}", row.since, text, command, max(row.waiting, 1))


async def low_pools(connection: AsyncConnection) -> list[Attention]:
    """Pools that have fewer free codes than staff want."""
    return await oldest(connection, LOW_POOLS, _low_pool)


def _low_pool(row: Any) -> Attention:
    text = f"{counted(row.free, 'code is', 'codes are')} left, fewer than {row.mark}"
    command = f"orderbus codes import FILE --store {row.store} --pool {row.pool}"
    return Attention("low code pool", f"{row.store}/{row.pool}", row.since, text, command)


async def not_revoked(connection: AsyncConnection) -> list[Attention]:
    """What customers may still use although their orders were cancelled or refunded: courses, ranks and roles, also
    those of a former action."""
    return await oldest(connection, _NOT_REVOKED, _not_revoked)


def _not_revoked(row: Any) -> Attention:
    text = "Access could not be revoked: revoke it where it was given, then record it"
    command = f"orderbus settle item {row.key} revoked --reason TEXT"
    return Attention("access not revoked", row.key, row.since, text, command, row.total)


async def not_configured(connection: AsyncConnection) -> list[Attention]:
    """Orders of products without a configuration, or whose game server has none."""
    return await oldest(connection, _NOT_CONFIGURED, _not_configured)


def _not_configured(row: Any) -> Attention:
    text = "A product of a paid order, or its game server, is not configured: configure it, then retry the order"
    return Attention("not configured", row.key, row.since, text, f"orderbus retry {row.key}", row.total)


async def failing_servers(connection: AsyncConnection) -> list[Attention]:
    """Game servers that failed their latest test: orders may wait for them."""
    return await oldest(connection, _FAILING_SERVERS, _failing_server)


def _failing_server(row: Any) -> Attention:
    store, _, server = row.key.partition("/server/")
    command = f"orderbus servers test {store} {server}"
    return Attention("game server", f"{store}/{server}", row.since, row.text, command, 1)


async def low_stock(connection: AsyncConnection) -> list[Attention]:
    """SKUs of which fewer units are free than their products say are enough."""
    return await oldest(connection, _LOW_STOCK, _low_stock)


def _low_stock(row: Any) -> Attention:
    store, _, sku = row.key.partition("/")
    text = f"{counted(row.free, 'unit is', 'units are')} free, fewer than {row.enough}: order more, then add them"
    return Attention("low stock", row.key, row.since, text, f"orderbus stock adjust {store} {sku} +UNITS --reason TEXT")


async def tasks(connection: AsyncConnection) -> list[Attention]:
    """Orders of which staff do something by hand."""
    return await oldest(connection, _TASKS, _task)


def _task(row: Any) -> Attention:
    text = "A task waits to be done: `orderbus order` shows it. Then mark it as delivered"
    command = f"orderbus delivery mark-delivered {row.key} --reason TEXT"
    return Attention("manual task", row.key, row.since, text, command, row.total)


async def held(connection: AsyncConnection) -> list[Attention]:
    """Paid orders of which nothing is delivered until they are released, or started."""
    return await oldest(connection, _HELD, _held)


def _held(row: Any) -> Attention:
    if row.total == TO_START:
        text = "The order is paid, and its store starts each delivery by hand"
        command = f"orderbus delivery start {row.key}"
        return Attention("order to start", row.key, row.since, text, command, routine=True)
    text = "The order is paid and held for verification: release it, or cancel it"
    return Attention("held order", row.key, row.since, text, f"orderbus delivery release {row.key} --reason TEXT")


async def parcels(connection: AsyncConnection) -> list[Attention]:
    """Daily work: one entry for all."""
    row = (await connection.execute(sa.text(_PARCELS))).one()
    if not row.orders:
        return []
    reason = "Items wait to be sent, then: orderbus ship ORDER --carrier NAME --tracking NUMBER"
    command = "orderbus orders --status processing"
    return [
        Attention("parcels", counted(row.orders, "order"), row.since, reason, command, int(row.total), routine=True)
    ]


ATTENTION = {
    "empty code pools": empty_pools,
    "low code pools": low_pools,
    "access not revoked": not_revoked,
    "not configured": not_configured,
    "game servers": failing_servers,
    "low stock": low_stock,
    "manual tasks": tasks,
    "held orders": held,
    "parcels": parcels,
}
