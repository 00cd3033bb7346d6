"""The shell's own tables in each service's database: `migration.py` creates them, `statements.py` uses them.

Queues (outbox, operations, timers) are small and churn: free space in each page for in-place updates, and an eager
autovacuum. The inbox is partitioned by the day in its UUIDv7 ids; whole days are dropped, and what was seen long after
its day moves to `inbox_other`, where all ids without a partition are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from shared.core.ids import lowest_id

GENERATION = 2
"""Of all that is stored. Builds of one generation run side by side. Until 1.0 it may be raised instead of converting
what is stored."""
QUEUE_STORAGE = (
    "with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, "
    "autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0, "
    "autovacuum_analyze_threshold = 5000, autovacuum_vacuum_cost_delay = 0)"
)
PASSING = ("outbox", "operations")
PASSING_BYTES, STATE_BYTES = 8160, 4080
"""Up to which rows are kept as they are: what fills a page, which is the most that PostgreSQL takes, or half a page."""

TABLES_V1 = (
    "create table generation (number integer primary key)",
    f"insert into generation (number) values ({GENERATION})",
    """create table database_identity (
        one boolean primary key default true check (one), service text not null, cluster text,
        cluster_since timestamptz
    )""",
    """create table restore_epoch (
        number integer primary key, restored_to timestamptz not null, began_at timestamptz not null,
        read_from timestamptz not null, caught_up_at timestamptz
    )""",
    """create table read_positions (
        topic text not null, partition integer not null, next_offset bigint not null, primary key (topic, partition)
    ) with (fillfactor = 50)""",
    """create table inbox (
        message_id uuid primary key, seen_at timestamptz not null, content bigint not null
    ) partition by range (message_id)""",
    "create table inbox_other partition of inbox default",
    "create index inbox_other_seen on inbox_other (seen_at)",
    f"""create table outbox (
        id bigint generated always as identity primary key,
        topic text not null, key text not null, headers text not null, body bytea not null,
        created_at timestamptz not null default clock_timestamp()
    ) {QUEUE_STORAGE}""",
    """create table outbox_sent (
        id bigint not null, topic text not null, key text not null, headers text not null, body bytea not null,
        sent_at timestamptz not null default now()
    ) partition by range (sent_at)""",
    "create table outbox_sent_other partition of outbox_sent default",
    """create table undeliverable (
        id bigint not null unique, topic text not null, key text not null, headers text not null, body bytea not null,
        created_at timestamptz not null, reason text not null,
        refused_at timestamptz not null default clock_timestamp(), primary key (key, topic, id)
    )""",
    f"""create table operations (
        id uuid primary key, key text not null, kind text not null, payload text not null, meta text not null,
        due timestamptz not null, requested_at timestamptz not null, destination text not null, serial boolean not null,
        attempts integer not null, lease integer not null, leased_by text not null, leased_until timestamptz,
        in_doubt boolean not null, abandoned boolean not null, expires timestamptz,
        error text not null, history text not null, occurred timestamptz,
        position bigint generated always as identity
    ) {QUEUE_STORAGE}""",
    "create index operations_due on operations (kind, due)",
    "create index operations_key on operations (key, position)",
    """create table destinations (
        name text primary key, paused_at timestamptz not null, reason text not null, paused_by text not null,
        probe_at timestamptz not null, probes integer not null
    )""",
    "create unlogged table rate_limits (name text primary key, next_at timestamptz not null) with (fillfactor = 10)",
    f"""create table timers (
        key text not null, name text not null, due timestamptz not null, kind text not null,
        payload text not null, meta text not null, id uuid not null, occurred timestamptz, primary key (key, name)
    ) {QUEUE_STORAGE}""",
    "create index timers_due on timers (due, key, name)",
    """create table parked (
        id bigint generated always as identity primary key, key text not null, message_id uuid not null,
        origin text not null, kind text not null, topic text not null, partition integer not null,
        record_offset bigint not null, record_key bytea, headers bytea not null, body bytea,
        reason text not null, error text not null, parked_at timestamptz not null, identity uuid
    )""",
    "create index parked_key on parked (key, id)",
    "create index parked_newer on parked (id) where reason = 'newer'",
    """create table replies (
        id uuid primary key, fingerprint text not null, code text not null, text text not null,
        problems text not null, replied_at timestamptz not null default clock_timestamp()
    )""",
)

DROP_V1 = tuple(
    f"drop table {name}"
    for name in (
        *("replies", "parked", "timers", "rate_limits", "destinations", "operations", "undeliverable", "outbox"),
        *("outbox_sent_other", "outbox_sent"),
        *("inbox_other", "inbox", "read_positions", "restore_epoch", "database_identity", "generation"),
    )
)


def day_bounds(day: date) -> tuple[UUID, UUID]:
    """What bounds the ids that tell a time of that day (UTC): from (inclusive), to (exclusive)."""
    midnight = datetime.combine(day, time(), UTC)
    return lowest_id(midnight), lowest_id(midnight + timedelta(days=1))


def partition_name(day: date) -> str:
    return f"inbox_{day:%Y%m%d}"
