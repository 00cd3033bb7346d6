"""Which transaction has changed an order last: by it readers are told of changes that they have not seen."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("alter table orders add column changed_in xid8")
    op.create_index("orders_changed", "orders", ["changed_in"])
    op.execute(
        "create function order_is_changed() returns trigger language plpgsql as "
        "$$ begin new.changed_in := pg_current_xact_id(); return new; end $$"
    )
    op.execute(
        "create trigger order_is_changed before insert or update on orders "
        "for each row execute function order_is_changed()"
    )


def downgrade() -> None:
    op.execute("drop trigger order_is_changed on orders")
    op.execute("drop function order_is_changed")
    op.drop_index("orders_changed")
    op.drop_column("orders", "changed_in")
