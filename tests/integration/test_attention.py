"""What waits for staff is found in each service's tables, with what to run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.cli.commands import COMMANDS, Command, single
from services.checkout.domain.delivery import TO_COMPLETE
from services.declared import declared
from services.registry import SERVICES
from shared.core.ids import random_id
from shared.shell.ports.attention import MOST, Attention
from shared.shell.postgres.attention import attention
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.store import read_gauges
from tests.integration.conftest import NewDatabase

AT = datetime(2026, 3, 3, 14, tzinfo=UTC)
Engines = Callable[[str], Awaitable[AsyncEngine]]


@pytest_asyncio.fixture
async def engine_of(new_database: NewDatabase) -> AsyncIterator[Engines]:
    """The migrated database of a service."""
    engines: list[AsyncEngine] = []

    async def engine(service: str) -> AsyncEngine:
        url = await new_database(service)
        engines.append(create_engine(url, "test"))
        return engines[-1]

    yield engine
    for one in engines:
        await one.dispose()


async def found(engine: AsyncEngine, service: str) -> Sequence[Attention]:
    async with engine.connect() as connection:
        listed = await attention(connection, declared()[service])
    assert not listed.unreadable
    assert all(known(entry.command) for entry in listed.attention)
    return listed.attention


def known(command: str) -> bool:
    """Whether the program has the command."""
    names = {one.name for section in COMMANDS for one in section.commands}
    names |= {one.name for section in COMMANDS for one in single(section.commands) if isinstance(one, Command)}
    program, name, *_ = command.split()
    return program == "orderbus" and name in names


async def execute(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text(statement), values)


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_waits_in_an_empty_database(service: str, engine_of: Engines) -> None:
    assert await found(await engine_of(service), service) == []


async def test_what_the_shell_cannot_do_alone(engine_of: Engines) -> None:
    engine = await engine_of("payments")
    park = """insert into parked (key, message_id, origin, kind, topic, partition, record_offset, headers, reason,
        error, parked_at) values ('o 1', :id, 'record', :kind, 'orders.events.v1', 0, 7, '[]', :reason, :error, :at)"""
    first = {"kind": "order.paid", "reason": "failed", "error": "KeyError: 'tax'"}
    await execute(engine, park, id=random_id(1, 1), at=AT, **first)
    behind = {"kind": "order.completed", "reason": "behind", "error": "an earlier message of this key is parked"}
    await execute(engine, park, id=random_id(2, 2), at=AT, **behind)
    refused = """insert into undeliverable (id, topic, key, headers, body, created_at, reason, refused_at) values
        (:id, 'payments.events.v1', 'o-2', '[]', '', :at, :reason, :at)"""
    await execute(engine, refused, id=8, reason="MessageSizeTooLargeError", at=AT + timedelta(hours=1))
    await execute(engine, refused, id=9, reason="", at=AT + timedelta(hours=1))
    pause = "insert into destinations values ('stripe', :at, 'the key is refused', 'payments-0', :at, 1)"
    await execute(engine, pause, at=AT + timedelta(hours=2))
    timer = (
        "insert into timers (key, name, due, kind, payload, meta, id) values ('o-3', 'x', :at, 'Later', '', '', :id)"
    )
    await execute(engine, timer, at=AT + timedelta(hours=3), id=random_id(3, 3))
    call = """insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts,
        lease, leased_by, in_doubt, abandoned, error, history) values
        (:id, 'o-4', 'ChargeCard', '', '', :at, :at, 'stripe', false, 3, 3, '', true, false, 'no answer', '[]')"""
    await execute(engine, call, at=AT + timedelta(hours=4), id=random_id(4, 4))

    entries = await found(engine, "payments")

    assert [(e.what, e.subject, e.count, e.command) for e in entries] == [
        ("parked", "o 1", 2, "orderbus parked show 'o 1' --service payments"),
        ("undeliverable", "o-2", 2, "orderbus undeliverable show payments 8"),
        ("paused", "stripe", 1, "orderbus resume payments stripe"),
        ("late timers", "Later", 1, "orderbus doctor"),
        ("in doubt", "o-4", 1, "orderbus waiting o-4 --service payments"),
    ]
    assert "KeyError" in entries[0].reason and "order.paid" in entries[0].reason
    assert "MessageSizeTooLargeError" in entries[1].reason


async def test_what_is_not_listed_one_by_one_is_counted(engine_of: Engines) -> None:
    engine = await engine_of("payments")
    park = """insert into parked (key, message_id, origin, kind, topic, partition, record_offset, headers, reason,
        error, parked_at) select :prefix || n, gen_random_uuid(), 'record', 'order.paid', 't', 0, 7, '[]', 'failed',
        'x', cast(:at as timestamptz) + n * interval '1 second' from generate_series(1, :count) n"""
    await execute(engine, park, at=AT, count=MOST, prefix="o-")
    assert len(await found(engine, "payments")) == MOST
    await execute(engine, park, at=AT + timedelta(days=1), count=200, prefix="later-")

    entries = await found(engine, "payments")

    assert len(entries) == MOST + 1
    assert (entries[-1].what, entries[-1].subject, entries[-1].count) == ("parked", "200 more", 200)
    assert {entry.subject for entry in entries[:-1]} == {f"o-{n}" for n in range(1, MOST + 1)}


async def test_lost_emails_and_webhooks_are_counted_by_store(engine_of: Engines) -> None:
    engine = await engine_of("notifications")
    log = """insert into notification_logs (key, version, sequence, number, store, lost_emails, lost_deliveries, data,
        changed_at) values (:key, 1, 1, :number, 'maple', 2, 1, cast(:data as jsonb), :at)"""
    data = """{"emails": [{"state": "failed", "code": "smtp_554", "at": "2026-03-03T14:00:00Z"},
        {"state": "unknown", "at": "2026-03-03T15:00:00Z"}, {"state": "sent", "at": "2026-03-03T13:00:00Z"}],
        "deliveries": [{"state": "exhausted", "endpoint": "we_1", "at": "2026-03-03T16:00:00Z", "text": "HTTP 500"}]}"""
    for number in (1, 2):
        await execute(engine, log, key=f"o-{number}", number=f"ORD-{number}", data=data, at=AT)
    shop = """insert into endpoints (key, version, sequence, data, changed_at)
        values ('maple', 1, 0, cast(:d as jsonb), :at)"""
    endpoints = '{"endpoints": [{"id": "we_1", "paused": true, "reason": "410 Gone"}, {"id": "we_2", "paused": false}]}'
    await execute(engine, shop, d=endpoints, at=AT + timedelta(hours=4))
    entry = """insert into feed_entries (key, id, order_id, number, kind, title, text, at, read_at) values
        ('maple~staff', :id, 'o-1', 'ORD-1', :kind, '', '', :at, :read)"""
    for number, (kind, read) in enumerate((("new_order", None), ("refund_failure", None), ("new_order", AT))):
        await execute(engine, entry, id=random_id(number, 1), kind=kind, at=AT + timedelta(hours=5), read=read)

    entries = await found(engine, "notifications")

    assert [(e.what, e.subject, e.count, e.routine) for e in entries] == [
        ("lost emails", "maple", 2, False),
        ("unknown emails", "maple", 2, False),
        ("exhausted webhooks", "maple/we_1", 2, False),
        ("paused endpoint", "maple/we_1", 1, False),
        ("staff feed", "maple", 2, True),
    ]
    assert "smtp_554" in entries[0].reason
    assert entries[0].command == "orderbus resend --store maple --since 2026-03-03T14:00:00Z"
    assert entries[1].command == "orderbus settle mail ORD-1 sent|not_sent --reason TEXT"


async def test_emails_that_are_tried_again_and_again_are_listed_while_they_are_not_paused(engine_of: Engines) -> None:
    engine = await engine_of("notifications")
    call = """insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts,
        lease, leased_by, in_doubt, abandoned, error, history) values
        (:id, 'o', 'SendEmail', '', '', :at, :at, 'smtp', false, :tries, 3, '', false, false, :error, '[]')"""
    refused = "The mail server refused the email for now: 451."
    for number, tries, error, at in (
        *((1, 9, refused, AT), (2, 9, refused, AT), (3, 0, "", AT)),
        (4, 1, refused, datetime.now(UTC)),
    ):
        await execute(engine, call, id=random_id(number, 1), tries=tries, error=error, at=at)

    (entry,) = await found(engine, "notifications")

    assert (entry.what, entry.subject, entry.count, entry.routine) == ("late emails", "smtp", 2, False)
    assert refused in entry.reason
    await execute(engine, "insert into destinations values ('smtp', :at, 'it is away', 'n-0', :at, 1)", at=AT)
    assert [entry.what for entry in await found(engine, "notifications")] == ["paused"]


async def test_an_endpoint_that_accepts_nothing_is_listed(engine_of: Engines) -> None:
    engine = await engine_of("notifications")
    call = """insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts,
        lease, leased_by, in_doubt, abandoned, error, history) values
        (:id, 'o', 'PostWebhook', '', '', :at, :at, :to, false, :tries, 3, '', false, false, :error, '[]')"""
    for number, to, tries, error, at in (
        *((1, "webhook:maple:we_1", 9, "HTTP 401", AT), (2, "webhook:maple:we_1", 3, "HTTP 401", AT)),
        (3, "webhook:maple:we_2", 0, "Connection refused", AT),
        *((4, "webhook:maple:we_3", 0, "", AT), (5, "webhook:maple:we_4", 1, "HTTP 500", datetime.now(UTC))),
    ):
        await execute(engine, call, id=random_id(number, 1), to=to, tries=tries, error=error, at=at)

    entries = sorted(await found(engine, "notifications"), key=lambda entry: entry.subject)

    assert [(entry.what, entry.subject, entry.count) for entry in entries] == [
        ("late webhooks", "maple/we_1", 2),
        ("late webhooks", "maple/we_2", 1),
    ]
    assert "HTTP 401" in entries[0].reason


ENDPOINTS = """insert into endpoints (key, version, sequence, data, changed_at) values
    (:key, 1, 0, cast(:data as jsonb), :at)"""
LOG = """insert into notification_logs (key, version, sequence, number, store, lost_emails, lost_deliveries, data,
    changed_at) values (:key, 1, 1, :key, 'maple', 1, 1, cast(:data as jsonb), :at)"""


@pytest.mark.parametrize(
    ("row", "data", "unreadable"),
    [
        (ENDPOINTS, '{"endpoints": {"we_1": {"paused": true}}}', ["paused endpoints"]),
        (ENDPOINTS, '{"endpoints": [{"paused": true}]}', ["paused endpoints"]),
        (ENDPOINTS, '{"webhooks": []}', ["paused endpoints"]),
        (LOG, '{"emails": 1, "deliveries": []}', ["lost emails"]),
        (LOG, '{"emails": [{"state": "unknown"}], "deliveries": []}', ["lost emails"]),
        (LOG, '{"emails": [{"state": "failed", "at": "noon"}]}', ["lost emails", "lost webhooks"]),
        (LOG, '{"emails": [], "deliveries": [{"state": "paused", "at": "2026-03-03"}]}', ["lost webhooks"]),
    ],
)
async def test_a_row_of_another_shape_hides_no_other_list(
    row: str, data: str, unreadable: list[str], engine_of: Engines
) -> None:
    engine = await engine_of("notifications")
    lost = '[{"state": "failed", "at": "2026-03-03T14:00:00Z"}]'
    paused = '[{"state": "paused", "at": "2026-03-03T15:00:00Z", "endpoint": "we_1"}]'
    await execute(engine, LOG, key="o-1", data=f'{{"emails": {lost}, "deliveries": {paused}}}', at=AT)
    await execute(engine, ENDPOINTS, key="maple", data='{"endpoints": [{"id": "we_1", "paused": true}]}', at=AT)
    await execute(engine, ENDPOINTS, key="refused", data=None, at=AT)
    await execute(engine, "insert into destinations values ('smtp', :at, 'login', 'notifications-0', :at, 1)", at=AT)
    lists = {"paused", "lost emails", "paused webhooks", "paused endpoint"}
    assert {entry.what for entry in await found(engine, "notifications")} == lists
    await execute(engine, row, key="odd", data=data, at=AT)

    async with engine.connect() as connection:
        listed = await attention(connection, declared()["notifications"])

    names = {"paused endpoints": "paused endpoint", "lost webhooks": "paused webhooks"}
    assert listed.unreadable == unreadable
    assert {entry.what for entry in listed.attention} == lists - {names.get(what, what) for what in unreadable}


@pytest.mark.parametrize(
    ("service", "row", "unreadable"),
    [
        ("checkout", "orders (number, status) values ('ORD-1', 'processing')", []),
        ("payments", "payments (number, unresolved) values ('ORD-1', true)", []),
        ("fulfillment", "products () values ()", []),
        ("notifications", "endpoints () values ()", ["paused endpoints"]),
    ],
)
@pytest.mark.parametrize("data", ["5", "[1]", '{"lines": 5, "attempts": {"a": 1}, "action": [2], "endpoints": 3}'])
async def test_what_looks_into_rows_stands_any_shape(
    service: str, row: str, unreadable: list[str], data: str, engine_of: Engines
) -> None:
    engine = await engine_of(service)
    columns, values = ("key, version, sequence, data, changed_at", "'x/y', 1, 1, cast(:data as jsonb), :at")
    both = row.replace("(", f"({columns}, ", 1).replace("values (", f"values ({values}, ").replace(", )", ")")
    await execute(engine, f"insert into {both}", data=data, at=AT)

    gauges = await read_gauges(engine, declared()[service].gauges)
    async with engine.connect() as connection:
        listed = await attention(connection, declared()[service])

    assert len(gauges) == len(declared()[service].gauges)
    assert listed.unreadable == unreadable


async def test_a_database_that_cannot_answer_is_no_unreadable_row(engine_of: Engines) -> None:
    engine = await engine_of("notifications")
    await execute(engine, "alter table endpoints rename to others")
    async with engine.connect() as connection:
        with pytest.raises(sa.exc.ProgrammingError):
            await attention(connection, declared()["notifications"])


async def test_pools_without_codes_access_that_stayed_and_parcels(engine_of: Engines) -> None:
    engine = await engine_of("fulfillment")
    pool = """insert into code_pools (key, version, sequence, waiting, data, changed_at) values
        (:key, 1, 0, :waiting, '{}', :at)"""
    for key, waiting in (("maple/games", 3), ("maple/books", 0), ("maple/music", 0)):
        await execute(engine, pool, key=key, waiting=waiting, at=AT)
    code = "insert into codes (key, code, batch) values ('maple/music', 'M-1', :id)"
    await execute(engine, code, id=random_id(1, 1))
    low = """insert into code_pools (key, version, sequence, waiting, data, changed_at) values
        ('maple/films', 1, 0, 0, cast('{"low_water": 2}' as jsonb), :at)"""
    await execute(engine, low, at=AT)
    await execute(engine, "insert into sealed_codes (key, digest, sealed) values ('maple/films', '1', '1')")
    product = """insert into products (key, version, sequence, data, changed_at)
        values (:key, 1, 0, cast(:data as jsonb), :at)"""
    for sku, action in (("go", '"code", "pool": "games"'), ("chess", '"code", "pool": "chess"'), ("tea", '"shipment"')):
        await execute(engine, product, key=f"maple/{sku}", data=f'{{"action": {{"kind": {action}}}}}', at=AT)
    delivery = """insert into deliveries (key, version, sequence, parcels, not_revoked, data, changed_at) values
        (:key, 1, 0, :parcels, :kept, '{}', :at)"""
    for key, parcels, kept in (("o-1", 2, 0), ("o-2", 1, 0), ("o-3", 0, 1), ("o-4", 0, 0)):
        await execute(engine, delivery, key=key, parcels=parcels, kept=kept, at=AT + timedelta(hours=1))

    waits = """insert into deliveries (key, version, sequence, held, data, changed_at)
        values (:key, 1, 0, :held, cast(:data as jsonb), :at)"""
    for key, held, data in (("o-5", 1, "{}"), ("o-6", 2, '{"number": "ORD-6"}')):
        await execute(engine, waits, key=key, held=held, data=data, at=AT)

    entries = await found(engine, "fulfillment")

    assert sorted((e.what, e.subject, e.count, e.routine) for e in entries) == [
        ("access not revoked", "o-3", 1, False),
        ("empty code pool", "maple/books", 1, False),
        ("empty code pool", "maple/chess", 1, False),
        ("empty code pool", "maple/games", 3, False),
        ("held order", "o-5", 1, False),
        ("low code pool", "maple/films", 1, False),
        ("order to start", "ORD-6", 1, True),
        ("parcels", "2 orders", 3, True),
    ]


async def test_each_order_is_listed_with_the_age_of_what_waits_whatever_else_happened_to_it(
    engine_of: Engines,
) -> None:
    fulfillment, checkout = await engine_of("fulfillment"), await engine_of("checkout")
    begun, later, now = AT.isoformat(), (AT + timedelta(days=1)).isoformat(), AT + timedelta(days=3)
    delivery = """insert into deliveries (key, version, sequence, parcels, not_revoked, not_configured, tasks, held,
        data, changed_at) values (:key, 1, 0, 0, :kept, :setup, :tasks, :held, cast(:data as jsonb), :at)"""
    for key, column, status in (
        ("o-1", "kept", "revocation_failed"),
        ("o-2", "setup", "waiting_setup"),
        ("o-3", "tasks", "waiting_task"),
        ("o-4", "held", "planned"),
    ):
        counts = dict.fromkeys(("kept", "setup", "tasks", "held"), 0) | {column: 1}
        waits = [f'{{"status": "{status}", "waits_since": "{since}"}}' for since in (later, begun)]
        held = f'"held_since": "{begun}"' if column == "held" else f'"items": [{", ".join(waits)}]'
        number = f'"number": "{key.replace("o-", "ORD-")}"'
        await execute(fulfillment, delivery, key=key, data=f"{{{number}, {held}}}", at=now, **counts)
    old = dict.fromkeys(("kept", "setup", "held"), 0)
    data = '{"items": [{"status": "waiting_task"}]}'
    await execute(fulfillment, delivery, key="o-5", data=data, at=now, tasks=1, **old)
    lines = f'{{"lines": [{{"delivery": "failed", "trouble": "HTTP 422", "trouble_since": "{begun}"}}]}}'
    order = """insert into orders (key, version, sequence, number, status, data, changed_at) values
        ('o-1', 1, 1, 'ORD-1', 'failed', cast(:data as jsonb), :at)"""
    await execute(checkout, order, data=lines, at=now)

    assert {(e.what, e.subject, e.since) for e in await found(fulfillment, "fulfillment")} == {
        ("access not revoked", "ORD-1", AT),
        ("not configured", "ORD-2", AT),
        ("manual task", "ORD-3", AT),
        ("held order", "ORD-4", AT),
        ("manual task", "o-5", now),
    }
    assert [(e.what, e.since) for e in await found(checkout, "checkout")] == [("failed delivery", AT)]


async def test_orders_and_money_that_stand_still(engine_of: Engines) -> None:
    checkout, payments = await engine_of("checkout"), await engine_of("payments")
    order = """insert into orders (key, version, sequence, number, status, data, changed_at) values
        (:number, 1, 1, :number, :status, cast(:data as jsonb), :at)"""
    failed = '{"lines": [{"delivery": "delivered"}, {"delivery": "failed", "trouble": "HTTP 422"}]}'
    refunded = '{"lines": [{"delivery": "failed", "refunded_whole": true, "trouble": "HTTP 422"}]}'
    now = datetime.now(UTC)
    for number, status, data, at in (
        ("ORD-1", "processing", failed, now - timedelta(hours=3)),
        ("ORD-2", "failed", '{"lines": []}', now - timedelta(hours=2)),
        ("ORD-3", "processing", refunded, now),
        ("ORD-4", "processing", '{"lines": [{"delivery": "pending"}]}', now - timedelta(days=4)),
        ("ORD-5", "completed", failed, now),
        ("ORD-8", "completed", '{"lines": [], "return_refused": "Too much."}', now),
        ("ORD-9", "processing", orjson.dumps({"lines": [], "message": TO_COMPLETE}).decode(), now - timedelta(hours=1)),
        ("ORD-10", "received", '{"reserved": true, "verification": "amount", "card_check": "verified"}', now),
        ("ORD-11", "received", '{"reserved": true, "verification": "amount", "card_check": "in_progress"}', now),
        ("ORD-12", "received", '{"reserved": true, "verification": "none"}', now),
        ("ORD-13", "received", '{"verification": "none"}', now),
        ("ORD-14", "failed", '{"message": "No further try is left."}', now),
    ):
        await execute(checkout, order, number=number, status=status, data=data, at=at)
    await execute(checkout, "update orders set deadline = :at where number = 'ORD-14'", at=now)
    payment = """insert into payments (key, version, sequence, number, unresolved, data, changed_at) values
        (:number, 1, 1, :number, true, cast(:data as jsonb), :at)"""
    for number, data in (("ORD-6", '{"attempts": [{"status": "unresolved"}]}'), ("ORD-7", '{"attempts": []}')):
        await execute(payments, payment, number=number, data=data, at=now)

    assert [(e.what, e.subject, e.command) for e in await found(checkout, "checkout")] == [
        ("unfinished order", "ORD-4", "orderbus order ORD-4"),
        ("failed delivery", "ORD-1", "orderbus retry ORD-1"),
        ("failed delivery", "ORD-2", "orderbus retry ORD-2"),
        ("order to complete", "ORD-9", "orderbus complete ORD-9"),
        ("failed payment", "ORD-14", "orderbus reopen ORD-14"),
        ("refused refund", "ORD-8", "orderbus refund ORD-8"),
        ("order to decide", "ORD-10", "orderbus accept ORD-10"),
        ("order to decide", "ORD-12", "orderbus accept ORD-12"),
    ]
    assert sorted((e.what, e.command) for e in await found(payments, "payments")) == [
        ("unresolved payment", "orderbus settle payment ORD-6 captured|not_charged --reason TEXT"),
        ("unresolved refund", "orderbus settle refund ORD-7 refunded|not_refunded --reason TEXT"),
    ]
