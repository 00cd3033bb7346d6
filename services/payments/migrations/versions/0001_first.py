"""Payments, their ledger, and the history of attempts and refunds."""

from __future__ import annotations

from alembic import op

from shared.shell.postgres.migration import drop_shell_tables, shell_tables

revision = "0001"
down_revision = None

TABLES = (
    """create table payments (
        key text primary key, version bigint not null, sequence bigint not null,
        number text, store text, status text, provider text, currency text, reference text,
        authorised bigint check (authorised >= 0), captured bigint check (captured >= 0),
        refunded bigint check (refunded >= 0), pending bigint check (pending >= 0), unresolved boolean,
        data jsonb, shape bigint not null default 0, changed_at timestamptz not null,
        constraint refunded_within_captured check (refunded <= captured),
        constraint pending_within_captured check (refunded + pending <= captured),
        constraint captured_within_authorised check (captured <= authorised)
    ) with (fillfactor = 80)""",
    "create index payments_recent on payments (changed_at)",
    "create index payments_number on payments (number)",
    "create index payments_reference on payments (reference, key) where reference <> ''",
    "create index payments_store on payments (store, key)",
    "create index payments_status on payments (status, key) where status <> 'paid'",
    "create index payments_unresolved on payments (changed_at) where unresolved",
    """create table ledger_entries (
        key text not null, id uuid not null, at timestamptz not null,
        transaction uuid not null, kind text not null, account text not null, amount bigint not null,
        currency text not null, provider text not null, reference text not null, store text not null,
        primary key (key, id)
    )""",
    "create index ledger_entries_at on ledger_entries (at, id)",
    "create index ledger_entries_id on ledger_entries (id)",
    "create index ledger_entries_reference on ledger_entries (reference, at, id)",
    """create table attempts (
        key text not null, id uuid not null, at timestamptz not null,
        attempt integer not null, status text not null, amount bigint not null, currency text not null,
        provider text not null, reference text not null, card_brand text not null, card_last4 text not null,
        code text not null, text text not null,
        primary key (key, id)
    )""",
    "create index attempts_reference on attempts (reference)",
    """create table refunds (
        key text not null, id uuid not null, at timestamptz not null,
        refund text not null, attempt integer not null, status text not null, amount bigint not null,
        currency text not null, provider text not null, reference text not null, reason text not null,
        note text not null, actor text not null, code text not null, text text not null,
        primary key (key, id)
    )""",
)


def upgrade() -> None:
    shell_tables(op)
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    for name in ("refunds", "attempts", "ledger_entries", "payments"):
        op.execute(f"drop table {name}")
    drop_shell_tables(op)
