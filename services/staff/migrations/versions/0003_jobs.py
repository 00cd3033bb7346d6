"""Jobs of staff: exports and bulk actions, with their orders, files and schedules. And what an order's total is made
of, which exports show: `orderbus staff rebuild` fills it for orders that are there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

TABLES = ("jobs", "job_orders", "job_parts", "job_schedules")
AMOUNTS = ("subtotal", "discount", "tax")


def upgrade() -> None:
    for name in AMOUNTS:
        op.add_column("orders", _number(name))
    op.create_table(
        "jobs",
        *(
            _key("id"),
            _text("kind"),
            _text("actor"),
            _text("token"),
            _texts("stores"),
            _text("request"),
            _text("state"),
        ),
        *(_number("total", null=True), _number("done"), _number("refused"), _text("problem")),
        *(_time("created_at", null=False), _time("started_at"), _time("ended_at"), _time("expires_at", null=False)),
        *(_text("file", null=True), _number("file_size", null=True)),
        *(_number("tries"), _time("not_before"), _number("lease"), _text("leased_by"), _time("leased_until")),
        *(sa.Column("identity", sa.Text, nullable=False, unique=True), _text("fingerprint")),
    )
    op.create_index("jobs_created", "jobs", ["created_at", "id"])
    open_states = sa.text("state in ('waiting', 'running', 'pausing', 'cancelling')")
    op.create_index("jobs_open", "jobs", ["kind", "created_at"], postgresql_where=open_states)
    op.create_table(
        "job_orders",
        *(_key("job"), _key("order_id"), _number("position"), _texts("items", null=True)),
        *(_text("state"), _text("code", null=True), _text("text", null=True), _time("at")),
    )
    op.create_index("job_orders_state", "job_orders", ["job", "state", "position"])
    op.create_table(
        "job_parts",
        _key("job"),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.execute("alter table job_parts alter data set storage external")
    op.create_table(
        "job_schedules",
        *(_key("id"), _text("name"), _text("actor"), _text("token"), _texts("stores", null=True)),
        *(_text("request"), _text("zone")),
        *(_time("next_at", null=False), _time("created_at", null=False), _text("last_job", null=True)),
    )


def downgrade() -> None:
    for name in reversed(TABLES):
        op.drop_table(name)
    for name in AMOUNTS:
        op.drop_column("orders", name)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, primary_key=True)


def _text(name: str, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null)


def _texts(name: str, *, null: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.ARRAY(sa.Text), nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if null else "0")


def _time(name: str, *, null: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)
