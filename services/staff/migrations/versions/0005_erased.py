"""Orders whose customer's personal data was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("orders", sa.Column("erased_at", sa.DateTime(timezone=True)))
    op.create_index("orders_erased", "orders", ["erased_at"], postgresql_where=sa.text("erased_at is not null"))


def downgrade() -> None:
    op.drop_index("orders_erased")
    op.drop_column("orders", "erased_at")
