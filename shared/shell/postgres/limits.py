"""Whether the connections that workers open fit into what server, role and database allow."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import ReportedError
from shared.settings import ServiceSettings

_LIMITS = """
    select r.rolname as role, d.datname as database, r.rolsuper as superuser,
        current_setting('max_connections')::int as server,
        current_setting('superuser_reserved_connections')::int + case
            when pg_has_role('pg_use_reserved_connections', 'usage') then 0
            else current_setting('reserved_connections')::int end as reserved,
        r.rolconnlimit as of_role, d.datconnlimit as of_database,
        array(
            select distinct regexp_replace(application_name, '( reads|-relay)$', '') from pg_stat_activity
            where datid = d.oid and application_name ~ ('^' || :service || '-[0-9]+( reads|-relay)?$')
        ) as workers,
        (select count(*) from pg_stat_activity
            where backend_type = 'client backend' and datid is distinct from d.oid) as others
    from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()
"""


class TooManyConnections(ReportedError):
    """Not even one worker fits."""

    exit_code = 4


@dataclass(frozen=True)
class Limit:
    what: str
    most: int
    remedy: str
    taken: int = 0
    """By others, now."""


async def fitting(connection: AsyncConnection, service: str, own: ServiceSettings, worker: str = "") -> str:
    """What to do where the workers that are there do not fit; empty where they do. `worker`: one more, that is about to
    open its connections. Raises TooManyConnections where one does not fit."""
    row = (await connection.execute(sa.text(_LIMITS), {"service": service})).one()
    workers = len({*row.workers, worker} - {""})
    for limit in _limits(row):
        if own.connections() > limit.most:
            raise TooManyConnections(_said(1, own, limit))
    for limit in _limits(row):
        if workers * own.connections() > limit.most - limit.taken:
            return _said(workers, own, limit)
    return ""


def _limits(row: sa.Row[tuple[object, ...]]) -> list[Limit]:
    """A superuser is exempt from all but the server's own."""
    free = row.server if row.superuser else row.server - row.reserved
    limits = [Limit("the server", free, "`alter system set max_connections = …` and restart it", row.others)]
    if row.of_role >= 0 and not row.superuser:
        limits.append(Limit(f"role {row.role}", row.of_role, f"`alter role {row.role} connection limit …`"))
    if row.of_database >= 0 and not row.superuser:
        text = f"`alter database {row.database} connection limit …`"
        limits.append(Limit(f"database {row.database}", row.of_database, text))
    return limits


def _said(workers: int, own: ServiceSettings, limit: Limit) -> str:
    who = "a worker opens" if workers == 1 else f"{workers} workers open"
    taken = f", of which others have {limit.taken}" if limit.taken else ""
    return (
        f"{who} up to {workers * own.connections()} connections (each POOL {own.pool} + READ_POOL {own.read_pool} "
        f"+ 1), but {limit.what} allows {limit.most}{taken}. Raise that ({limit.remedy}), or lower POOL."
    )
