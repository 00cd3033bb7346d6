"""Notes, messages, what customers ask; lists of abandoned checkouts and of what waits for an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "correspondence",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", postgresql.UUID, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "kind", "text", "sender", "author")),
        sa.Column("written_at", sa.DateTime(timezone=True)),
        sa.Column("attachments", postgresql.JSONB, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("store", "email")),
    )
    op.create_index(
        "correspondence_customer", "correspondence", ["store", "email"], postgresql_where=sa.text("email <> ''")
    )
    op.create_index(
        "orders_abandoned",
        "orders",
        ["created_at", "key"],
        postgresql_where=sa.text("placed_at is null and status in ('expired', 'cancelled')"),
    )
    op.create_index(
        "orders_asked", "orders", ["changed_at"], postgresql_where=sa.text("jsonb_typeof(data -> 'asked') = 'object'")
    )


def downgrade() -> None:
    op.drop_index("orders_asked")
    op.drop_index("orders_abandoned")
    op.drop_table("correspondence")
