"""Codes that no reader of the database can use, and what customers have downloaded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "sealed_codes",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("batch", sa.Uuid),
        sa.Column("order_key", sa.Text),
        sa.Column("item", sa.Text),
        sa.Column("unit", sa.BigInteger),
        sa.Column("taken_at", sa.DateTime(timezone=True)),
    )
    free, taken = sa.text("order_key is null"), sa.text("order_key is not null")
    op.create_index("sealed_codes_free", "sealed_codes", ["key", "number"], postgresql_where=free)
    columns = ["key", "order_key", "item", "unit"]
    op.create_index("sealed_codes_taken", "sealed_codes", columns, unique=True, postgresql_where=taken)
    # Those of a file have none: a million entries that nothing looks for.
    op.create_index(
        "sealed_codes_batch", "sealed_codes", ["key", "batch"], postgresql_where=sa.text("batch is not null")
    )
    op.create_table(
        "downloads",
        sa.Column("number", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("order_key", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("link_expires", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("begun", sa.Boolean, nullable=False),
    )
    op.create_index("downloads_item", "downloads", ["order_key", "item", "number"])
    op.create_table(
        "vault_keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("vault_keys")
    op.drop_table("downloads")
    op.drop_table("sealed_codes")
