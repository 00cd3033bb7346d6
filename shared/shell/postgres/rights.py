"""Whether a database is that of a service, and its role may do there what its program does: workers write all tables
and partition the inbox, which takes its owner; `orderbus check` reads.

Whose a database is comes first: what a role lacks in the database of another service must not be granted to it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from shared.errors import ReportedError
from shared.shell.postgres.identity import DatabaseIdentity

_RIGHTS = """
    select i.relowner::regrole::text as owner, current_user::text as role, n.nspname as schema,
        has_schema_privilege(n.oid, 'usage') as enters,
        pg_has_role(i.relowner, 'usage') and has_schema_privilege(n.oid, 'create') as owns,
        coalesce((
            select has_table_privilege(c.oid, 'select') from pg_class c
            where c.relnamespace = i.relnamespace and c.relname = 'database_identity' and c.relkind = 'r'
        ), false) as identified,
        array(
            select c.relname::text from pg_class c
            where c.relnamespace = i.relnamespace and c.relowner = i.relowner and c.relkind in ('r', 'p')
                and not c.relispartition and not has_table_privilege(c.oid, 'select')
            order by 1
        ) as unread
    from pg_class i join pg_namespace n on n.oid = i.relnamespace
    where i.oid = coalesce(to_regclass('inbox'), (
        select c.oid from pg_class c join pg_namespace s on s.oid = c.relnamespace
        where c.relname = 'inbox' and s.nspname = 'public'))
"""
"""In a schema that the role may not use, `to_regclass` finds nothing."""


class MissingRights(ReportedError):
    exit_code = 4


def check_owner(connection: sa.Connection, service: str) -> None:
    """Of the role of workers and of `orderbus migrate`. Raises WrongDatabase, MissingRights."""
    found = _rights(connection, service)
    if found and not found.owns:
        raise MissingRights(
            f"{found.role} is not the owner of the tables, and workers make partitions of them. "
            f"{_whose(found, service)}Connect as {found.owner}, who owns them and needs `create` on the "
            f"schema {found.schema}."
        )


def check_reader(connection: sa.Connection, service: str) -> None:
    """Of a role that only reads. Raises WrongDatabase, MissingRights."""
    found = _rights(connection, service)
    if found and (found.unread or not found.enters):
        more = ", …" if len(found.unread) > 3 else ""
        what = ", ".join(found.unread[:3]) + more if found.enters else f"the schema {found.schema}"
        usage = "" if found.enters else f"`grant usage on schema {found.schema} to {found.role}`, "
        raise MissingRights(
            f"{found.role} may not read {what}. {_whose(found, service)}As {found.owner}, run {usage}`grant select on "
            f"all tables in schema {found.schema} to {found.role}` and, for tables to come, `alter default privileges "
            f"in schema {found.schema} grant select on tables to {found.role}`."
        )


def _rights(connection: sa.Connection, service: str) -> sa.Row[Any] | None:
    """None without tables. Raises WrongDatabase."""
    found = connection.execute(sa.text(_RIGHTS)).one_or_none()
    if found and found.enters and found.identified:
        known = connection.execute(sa.text("select service from database_identity")).scalar_one_or_none()
        DatabaseIdentity(known or "").check_service(service)
    return found


def _whose(found: sa.Row[Any], service: str) -> str:
    if found.enters and found.identified:
        return ""
    return (
        f"This may be the database of another service; {found.role} may not read which (database_identity). Name the "
        f"database of {service} here. Only if this is the one: "
    )
