"""Orders of which the refund of what was returned was refused."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("create index orders_return_refused on orders (key) where coalesce(data ->> 'return_refused', '') <> ''")


def downgrade() -> None:
    op.drop_index("orders_return_refused")
