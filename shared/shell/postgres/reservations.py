"""Reservations in the table `rate_limits`. It is unlogged: after a crash of the database the limit starts afresh."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.shell.postgres.connections import Connections
from shared.shell.postgres.statements import Sql

RESERVE = Sql("""
    insert into rate_limits as stored (name, next_at)
    values (:name, clock_timestamp() + make_interval(secs => cast(:length as float8)))
    on conflict (name) do update set
        next_at = greatest(stored.next_at, clock_timestamp()) + make_interval(secs => cast(:length as float8))
    returning extract(epoch from next_at - clock_timestamp()) - cast(:length as float8) as seconds
""")


class PostgresReservations:
    """See `ports.reservations`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._connections = Connections(engine)

    async def reserve(self, name: str, length: float) -> float:
        ((seconds,),) = await self._connections.fetch(RESERVE, {"name": name, "length": length})
        return max(0.0, float(seconds))
