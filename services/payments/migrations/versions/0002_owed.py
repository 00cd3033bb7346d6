"""What is owed to customers, by payment."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

OWED = """
    update payments p set owed = case
        when coalesce(data->>'closed_as', '') <> '' then captured - refunded
        else pending + (
            select coalesce(sum((a->>'captured')::bigint - (
                select coalesce(sum((r->>'amount')::bigint), 0) from jsonb_array_elements(data->'refunds') r
                where r->>'attempt' = a->>'number' and r->>'status' <> 'failed'
            )), 0) from jsonb_array_elements(data->'attempts') a where (a->>'surplus')::boolean
        )
    end
    where data is not null and (
        pending > 0 or (coalesce(data->>'closed_as', '') <> '' and captured > refunded)
        or jsonb_path_exists(data, '$.attempts[*] ? (@.surplus == true)')
    )
"""
"""As `Payment.owed`: what must be refunded and is not, refunds in progress included."""


def upgrade() -> None:
    op.execute("alter table payments add column owed bigint default 0")
    op.execute(OWED)
    op.execute("create index payments_owed on payments (changed_at) where owed > 0")


def downgrade() -> None:
    op.execute("alter table payments drop column owed")
