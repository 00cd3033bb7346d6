"""The first tables: notification logs, endpoints, feeds, attempts at emails and webhook deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.shell.postgres.migration import drop_shell_tables, shell_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    shell_tables(op)
    _state(
        "notification_logs",
        _text("number", True),
        _text("store", True),
        _text("recipient", True),
        sa.Column("pending", sa.Integer),
        sa.Column("lost_emails", sa.Integer),
        sa.Column("lost_deliveries", sa.Integer),
    )
    _state("endpoints")
    _record(
        "feed_entries",
        _text("order_id"),
        _text("number"),
        _text("kind"),
        _text("title"),
        _text("text"),
        _text("link", True),
        _time("at"),
        _time("read_at", True),
        _time("archived_at", True),
    )
    _record("email_attempts", _text("message"), _time("at"), _text("result"))
    _record(
        "delivery_attempts",
        _text("message"),
        _text("endpoint"),
        _text("event"),
        _time("at"),
        sa.Column("delivered", sa.Boolean, nullable=False),
        _text("result"),
    )
    op.create_index("feed_newest", "feed_entries", ["key", "at", "id"])
    for column in ("entered_in", "changed_in"):
        op.execute(f"alter table feed_entries add column {column} xid8 not null default pg_current_xact_id()")
    op.create_index("feed_changed", "feed_entries", ["changed_in"])
    logs = "notification_logs"
    op.create_index(f"{logs}_pending", logs, ["key"], postgresql_where=sa.text("pending > 0"))
    for column in ("lost_emails", "lost_deliveries"):
        op.create_index(f"{logs}_{column}", logs, ["store", "key"], postgresql_where=sa.text(f"{column} > 0"))
    op.create_index(
        "feed_unread", "feed_entries", ["key"], postgresql_where=sa.text("read_at is null and archived_at is null")
    )


def downgrade() -> None:
    for table in ("delivery_attempts", "email_attempts", "feed_entries", "endpoints", "notification_logs"):
        op.drop_table(table)
    drop_shell_tables(op)


def _state(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        *columns,
        sa.Column("data", postgresql.JSONB),
        sa.Column("shape", sa.BigInteger, nullable=False, server_default="0"),
        _time("changed_at"),
    )


def _record(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(
        name, sa.Column("key", sa.Text, primary_key=True), sa.Column("id", sa.Uuid, primary_key=True), *columns
    )


def _text(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _time(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
