"""Whether a role may do in a service's database what its program does there: workers write all tables and partition the
inbox, which takes its owner; `orderbus check` reads."""

from __future__ import annotations

import sqlalchemy as sa

from shared.errors import ReportedError

_RIGHTS = """
    select i.relowner::regrole::text as owner, current_user::text as role, n.nspname as schema,
        pg_has_role(i.relowner, 'usage') and has_schema_privilege(n.oid, 'create') as owns,
        array(
            select c.relname::text from pg_class c
            where c.relnamespace = i.relnamespace and c.relowner = i.relowner and c.relkind in ('r', 'p')
                and not c.relispartition and not has_table_privilege(c.oid, 'select')
            order by 1
        ) as unread
    from pg_class i join pg_namespace n on n.oid = i.relnamespace where i.oid = to_regclass('inbox')
"""


class MissingRights(ReportedError):
    exit_code = 4


def check_owner(connection: sa.Connection) -> None:
    """Of a worker's role. Raises MissingRights."""
    found = connection.execute(sa.text(_RIGHTS)).one_or_none()
    if found and not found.owns:
        raise MissingRights(
            f"{found.role} is not the owner of the tables, and workers make partitions of them. Connect as "
            f"{found.owner}, or run `grant {found.owner} to {found.role}` and `grant create on schema {found.schema} "
            f"to {found.owner}`."
        )


def check_reader(connection: sa.Connection) -> None:
    """Of a role that only reads. Raises MissingRights."""
    found = connection.execute(sa.text(_RIGHTS)).one_or_none()
    if found and found.unread:
        more = ", …" if len(found.unread) > 3 else ""
        raise MissingRights(
            f"{found.role} may not read {', '.join(found.unread[:3])}{more}. As {found.owner}, run `grant select on "
            f"all tables in schema {found.schema} to {found.role}` and, for tables to come, `alter default privileges "
            f"in schema {found.schema} grant select on tables to {found.role}`."
        )
