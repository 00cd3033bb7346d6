"""The first tables: read models of orders, and the archive of events, partitioned by month."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.shell.postgres.migration import drop_shell_tables, shell_tables

revision = "0001"
down_revision = None

PARTS = ("order_items", "order_search", "payment_search", "transactions", "executions", "messages")
RECORDS = ("order_records", "payment_records", "delivery_records", "message_records")
FACETS = "order_facets || payment_facets || delivery_facets || message_facets"
DATE = "coalesce(placed_at, created_at)"
BY_STORE = {
    "date": (DATE, "order_id"),
    "updated_at": ("updated_at", "order_id"),
    "number": ("number", "order_id"),
    "total": ("total", "order_id"),
    "payment_status": ("payment_status", DATE, "order_id"),
    "email": ("email", DATE, "order_id"),
    "customer_name": ("lower(customer_name)",),
}
"""Indexes of orders: one for each way to sort, and for what a search looks up."""


def upgrade() -> None:
    shell_tables(op)
    op.execute("create extension if not exists pg_trgm")
    _orders()
    _parts()
    for name in RECORDS:
        op.create_table(name, _key("order_id"), sa.Column("body", sa.LargeBinary, nullable=False))
    _archive()
    _state("saved_views")


def downgrade() -> None:
    for name in ("saved_views", "events", *RECORDS, *PARTS, "order_counts", "orders"):
        op.drop_table(name)
    op.execute("drop extension pg_trgm")
    drop_shell_tables(op)


def _state(name: str) -> None:
    op.create_table(
        name,
        _key("key"),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("data", postgresql.JSONB),
        sa.Column("shape", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        _key("order_id"),
        *(_number("order_revision"), _filled("store"), _filled("number"), _filled("status"), _filled("shown_status")),
        *(_text("status_word"), _filled("payment_status"), _filled("fulfilment_status"), _filled("currency")),
        *(_number("total"), _number("paid", null=True), _number("refunded"), _text("customer_name"), _text("email")),
        *(_text("account"), _text("country"), _text("source"), _text("offer"), _number("item_count"), _text("held")),
        *(_text("asked"), _time("created_at"), _time("placed_at"), _time("paid_at"), _time("completed_at")),
        *(_time("closed_at"), _time("updated_at"), _time("deadline"), _texts("order_facets")),
        *(_number("payment_revision"), _text("provider"), _text("method"), _text("card_brand"), _text("card_last4")),
        *(_number("captured"), _number("refund_pending"), _number("refundable"), _number("owed"), _flag("unresolved")),
        *(_time("payment_updated_at"), _texts("payment_facets")),
        *(_number("delivery_revision"), _text("delivery_stage"), _number("failed_executions")),
        *(_number("waiting_executions"), _flag("to_start"), _time("delivery_updated_at"), _texts("delivery_facets")),
        *(_number("messages_revision"), _number("lost_emails"), _number("lost_webhooks")),
        *(_time("messages_updated_at"), _texts("message_facets")),
        sa.Column("facets", postgresql.ARRAY(sa.Text), sa.Computed(FACETS, persisted=True)),
    )
    op.execute("alter table orders alter facets set statistics 2000")
    op.create_index("orders_facets", "orders", ["facets"], postgresql_using="gin")
    for name, columns in BY_STORE.items():
        op.create_index(f"orders_{name}", "orders", ["store", *map(sa.text, columns)])
    op.create_index("orders_account", "orders", ["store", "account"], postgresql_where=sa.text("account is not null"))
    op.create_table("order_counts", _key("store"), _key("status"), _number("count"))


def _parts() -> None:
    for name in ("order_search", "payment_search"):
        op.create_table(name, _key("order_id"), _needed("folded"))
        op.create_index(
            *(f"{name}_folded", name, ["folded"]),
            postgresql_using="gin",
            postgresql_ops={"folded": "gin_trgm_ops"},
        )
    op.create_table(
        "order_items",
        *(_key("order_id"), _key("item"), _needed("store"), _needed("sku"), _needed("product"), _needed("kind")),
        *(_number("quantity"), _number("purchased"), _number("refunded"), _needed("delivery")),
    )
    op.create_index("order_items_sku", "order_items", ["store", "sku"])
    op.create_table(
        "transactions",
        *(_key("order_id"), _key("id"), _needed("store"), _needed("kind"), _number("attempt", null=True)),
        *(_text("provider"), _text("method"), _text("reference"), _needed("status"), _text("code"), _number("amount")),
        *(_needed("currency"), _number("fee", null=True), _text("fee_currency"), _text("card_brand")),
        *(_text("card_last4"), _flag("recorded"), _flag("surplus"), _time("at", null=False)),
    )
    op.create_index("transactions_at", "transactions", ["store", "at", "order_id", "id"])
    op.create_index("transactions_status", "transactions", ["store", "kind", "status", "at", "order_id", "id"])
    op.create_index("transactions_reference", "transactions", ["reference"])
    op.create_table(
        "executions",
        *(_key("order_id"), _key("execution"), _needed("store"), _needed("about"), _needed("name")),
        *(_number("quantity"), _text("kind"), _needed("status"), _text("code"), _needed("text"), _flag("in_doubt")),
        *(_text("carrier"), _text("tracking"), _time("updated_at", null=False)),
    )
    op.create_index("executions_at", "executions", ["store", "updated_at", "order_id", "execution"])
    op.create_index("executions_status", "executions", ["store", "status", "updated_at", "order_id", "execution"])
    op.create_table(
        "messages",
        *(_key("order_id"), _key("channel"), _key("id"), _needed("store"), _needed("fact"), _needed("name")),
        *(_text("audience"), _text("endpoint"), _needed("state"), _number("attempts"), _time("at"), _text("code")),
        *(_needed("text"), _flag("in_doubt")),
    )
    op.create_index("messages_state", "messages", ["store", "state", "order_id"])


def _archive() -> None:
    op.create_table(
        "events",
        *(_key("key"), sa.Column("at", sa.DateTime(timezone=True), primary_key=True)),
        *(sa.Column("id", sa.Uuid, primary_key=True), _needed("topic"), _needed("source"), _needed("type")),
        *(sa.Column("version", sa.Integer, nullable=False), _needed("store"), _number("sequence"), _needed("actor")),
        *(_needed("correlation"), _needed("causation"), sa.Column("body", sa.LargeBinary, nullable=False)),
        postgresql_partition_by="range (at)",
    )
    op.execute("create table events_other partition of events default")


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text)


def _needed(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _filled(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if null else "0")


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default="false")


def _time(name: str, *, null: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _texts(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=False, server_default="{}")
