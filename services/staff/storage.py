"""Staff's tables, which migrations create: read models, the archive of events, and what staff keep for themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from services.staff.domain.archive import EventRow
from services.staff.domain.deliveries import DeliveryRecordRow, DeliveryRow, ExecutionRow
from services.staff.domain.messages import MessageRow, MessagesRecordRow, MessagesRow
from services.staff.domain.orders import OrderItemRow, OrderRecordRow, OrderRow, OrderSearchRow
from services.staff.domain.payments import PaymentRecordRow, PaymentRow, PaymentSearchRow, TransactionRow
from services.staff.domain.saved_view import SavedView, store_of
from services.staff.domain.stores import StoreRow
from services.staff.search_text import folded
from shared.core.projection import Row
from shared.shell.ports.read_models import Counter, DaySums, KeptTable, PartsTable, ReadModelTables, ShownTable
from shared.shell.ports.tables import StateTable, Storage
from shared.shell.postgres.tables import state_table

metadata = sa.MetaData()


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _filled(name: str) -> sa.Column[str]:
    """Of a row that another topic's record made first."""
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if null else "0")


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default="false")


def _time(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def _texts(name: str) -> sa.Column[Any]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=False, server_default="{}")


def _adds(name: str) -> sa.Column[Any]:
    """What the row adds to `day_sums`."""
    return sa.Column(name, postgresql.JSONB)


_ALL_FACETS = "order_facets || payment_facets || delivery_facets || message_facets"
orders = sa.Table(
    "orders",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    # From `order.status`
    *(_number("order_revision"), _filled("store"), _filled("number"), _filled("status"), _filled("shown_status")),
    *(_text("status_word", null=True), _filled("payment_status"), _filled("fulfilment_status"), _filled("currency")),
    *(_number("subtotal"), _number("discount"), _number("tax"), _number("total"), _number("paid", null=True)),
    *(_number("refunded"), _text("customer_name", null=True)),
    *(_text("email", null=True), _text("account", null=True), _text("country", null=True), _text("source", null=True)),
    *(_text("offer", null=True), _number("item_count"), _text("held", null=True), _text("asked", null=True)),
    *(_time("created_at"), _time("placed_at"), _time("paid_at"), _time("completed_at"), _time("closed_at")),
    *(_time("updated_at"), _time("deadline"), _time("erased_at"), _texts("order_facets")),
    # From `payment.status`
    *(_number("payment_revision"), _text("provider", null=True), _text("method", null=True)),
    *(_text("card_brand", null=True), _text("card_last4", null=True), _number("captured"), _number("refund_pending")),
    *(_number("refundable"), _number("owed"), _flag("unresolved"), _time("payment_updated_at")),
    _texts("payment_facets"),
    # From `delivery.status`
    *(_number("delivery_revision"), _text("delivery_stage", null=True), _number("failed_executions")),
    *(_number("waiting_executions"), _flag("to_start"), _time("delivery_updated_at"), _texts("delivery_facets")),
    # From `message.status`
    *(_number("messages_revision"), _number("lost_emails"), _number("lost_webhooks"), _time("messages_updated_at")),
    _texts("message_facets"),
    *(_adds("order_adds"), _adds("payment_adds"), _adds("delivery_adds")),
    sa.Column("facets", postgresql.ARRAY(sa.Text), sa.Computed(_ALL_FACETS, persisted=True)),
)
order_counts = sa.Table(
    "order_counts",
    metadata,
    sa.Column("store", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, primary_key=True),
    _number("count"),
)
order_search = sa.Table("order_search", metadata, sa.Column("order_id", sa.Text, primary_key=True), _text("folded"))
payment_search = sa.Table("payment_search", metadata, sa.Column("order_id", sa.Text, primary_key=True), _text("folded"))
order_items = sa.Table(
    "order_items",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("item", sa.Text, primary_key=True),
    *(_text("store"), _text("sku"), _text("product"), _text("kind"), _number("quantity"), _number("purchased")),
    *(_number("refunded"), _text("delivery")),
)
transactions = sa.Table(
    "transactions",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    *(_text("store"), _text("kind"), _number("attempt", null=True), _text("provider", null=True)),
    *(_text("method", null=True), _text("reference", null=True), _text("status"), _text("code", null=True)),
    *(_number("amount"), _text("currency"), _number("fee", null=True), _text("fee_currency", null=True)),
    *(_text("card_brand", null=True), _text("card_last4", null=True)),
    *(_flag("recorded"), _flag("surplus"), _time("at", null=False)),
)
executions = sa.Table(
    "executions",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("execution", sa.Text, primary_key=True),
    *(_text("store"), _text("about"), _text("name"), _number("quantity"), _text("kind", null=True), _text("status")),
    *(_text("code", null=True), _text("text"), _flag("in_doubt"), _text("carrier", null=True)),
    *(_text("tracking", null=True), _time("updated_at", null=False)),
)
messages = sa.Table(
    "messages",
    metadata,
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    *(_text("store"), _text("fact"), _text("name"), _text("audience", null=True), _text("endpoint", null=True)),
    *(_text("state"), _number("attempts"), _time("at"), _text("code", null=True), _text("text"), _flag("in_doubt")),
)


def _records(name: str) -> sa.Table:
    """Status records as they were sent: what an order shows that no list does."""
    body = sa.Column("body", sa.LargeBinary, nullable=False)
    return sa.Table(name, metadata, sa.Column("order_id", sa.Text, primary_key=True), body)


order_records, payment_records = _records("order_records"), _records("payment_records")
delivery_records, message_records = _records("delivery_records"), _records("message_records")
events = sa.Table(
    "events",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("id", sa.Uuid, primary_key=True),
    *(_text("topic"), _text("source"), _text("type"), sa.Column("version", sa.Integer, nullable=False)),
    *(_text("store"), _number("sequence"), _text("actor"), _text("correlation"), _text("causation")),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
stores = sa.Table(
    "stores",
    metadata,
    sa.Column("store", sa.Text, primary_key=True),
    *(_number("store_revision"), _text("time_zone", null=True)),
    # The zone in which its days in `day_sums` are counted: see sums_zones.py
    sa.Column("sums_zone", sa.Text, nullable=False, server_default="UTC"),
)
COUNTS = (
    *("opened", "placed", "paid", "completed", "seconds", "units", "attempts", "declined"),
    *("refunds", "failures", "disputed", "charged_back"),
)
AMOUNTS = ("sales", "refunded")
"""In minor units. However large single ones are, their sum is kept."""
BY_MONTH = ("product",)
"""There are so many products that adding up a year's days would take long."""
day_sums = sa.Table(
    "day_sums",
    metadata,
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("store", "about")),
    sa.Column("day", sa.Date, primary_key=True),
    *(sa.Column(name, sa.Text, primary_key=True) for name in ("value", "currency")),
    *(_number(name) for name in COUNTS),
    *(sa.Column(name, sa.Numeric, nullable=False, server_default="0") for name in AMOUNTS),
)
saved_views = state_table("saved_views", metadata)


def _search_columns(row: OrderSearchRow | PaymentSearchRow) -> Mapping[str, Any]:
    return {"order_id": row.order_id, "folded": folded(*row.texts)}


def _shown(
    kind: type[Row], revision: str, *parts: PartsTable, counter: Counter | None = None, adds: str = ""
) -> ShownTable:
    return ShownTable(kind, orders, "order_id", revision, parts, counter, adds=adds)


read_models = ReadModelTables(
    shown=[
        _shown(
            *(OrderRow, "order_revision"),
            PartsTable(OrderItemRow, order_items),
            PartsTable(OrderSearchRow, order_search, _search_columns),
            PartsTable(OrderRecordRow, order_records),
            counter=Counter(order_counts, ("store", "status")),
            adds="order_adds",
        ),
        _shown(
            *(PaymentRow, "payment_revision"),
            PartsTable(TransactionRow, transactions),
            PartsTable(PaymentSearchRow, payment_search, _search_columns),
            PartsTable(PaymentRecordRow, payment_records),
            adds="payment_adds",
        ),
        _shown(
            *(DeliveryRow, "delivery_revision"),
            PartsTable(ExecutionRow, executions),
            PartsTable(DeliveryRecordRow, delivery_records),
            adds="delivery_adds",
        ),
        _shown(
            *(MessagesRow, "messages_revision"),
            PartsTable(MessageRow, messages),
            PartsTable(MessagesRecordRow, message_records),
        ),
        ShownTable(StoreRow, stores, "store", "store_revision"),
    ],
    kept=[KeptTable(EventRow, events)],
    sums=DaySums(day_sums, stores, BY_MONTH),
)
storage = Storage(
    metadata=metadata,
    states=[StateTable(SavedView, saved_views, store=lambda key, view: store_of(key))],
    read_models=read_models,
)
