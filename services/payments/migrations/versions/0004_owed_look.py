"""Until when payments have been looked through for what older workers left owed."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    """create table owed_look (
        one boolean primary key default true check (one),
        until timestamptz not null
    )""",
    # What older workers have changed since the column was filled is still recent: the third migration came with it.
    "insert into owed_look (until) values (now() - interval '3 days')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table owed_look")
