"""Access that was left at a former URL counts as not revoked."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

NOT_REVOKED = """
    update deliveries set not_revoked = (
        select count(*) from jsonb_array_elements(data -> 'items') item
        where item ->> 'status' = 'revocation_failed' or jsonb_path_exists(item, '$.unrevoked[*]')
    )
    where data is not null and jsonb_path_exists(data, '$.items[*].unrevoked[*]')
"""
"""As `Delivery.not_revoked`."""


def upgrade() -> None:
    op.execute(NOT_REVOKED)


def downgrade() -> None:
    """The count of an older build is that of its next change of the row."""
