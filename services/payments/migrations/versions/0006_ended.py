"""Orders that ended before their payment was requested, by age: upkeep forgets them."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("create index payments_ended on payments (changed_at) where number = ''")


def downgrade() -> None:
    op.execute("drop index payments_ended")
