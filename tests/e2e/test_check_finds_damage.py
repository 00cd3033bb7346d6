"""`orderbus check` is no ornament: it fails, and names what is wrong, for each kind of damage."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.check.run import Window, check
from deploy.cli.check import exit_code
from deploy.client.http import ApiClient
from deploy.demo import catalogue as shipped
from deploy.demo.basket import checkout, person
from deploy.demo.catalogue import open_shop
from deploy.demo.shop import Order, Shop
from deploy.devstack.services import running_services
from deploy.devstack.stack import Stack
from deploy.sandboxes.client import OutsideWorld, StripeSandbox
from shared.contracts.checkout import STATUS
from shared.contracts.fulfillment import EVENTS
from tests.e2e.conftest import settings_of
from tests.e2e.damages import DAMAGES, Damage

# The file is one story on a stack of its own: each test damages it in another way, the last ones for good.


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("damage") / "data") as stack:
        yield stack


@pytest_asyncio.fixture(scope="module")
async def order(stack: Stack) -> AsyncIterator[Order]:
    """An order that was completed, in a system that has stopped."""
    catalogue, settings = shipped.load(stack.outside_url, codes=100), settings_of(stack)
    async with (
        running_services(stack, workers=1),
        ApiClient.of(settings) as edges,
        OutsideWorld(stack.outside_url, stack.secrets.outside_token) as outside,
        Shop(settings, catalogue) as shop,
    ):
        await open_shop(edges, outside, catalogue)
        order = shop.order()
        await order.submits(checkout(catalogue, catalogue.main, person("Ada", "d1"), [("atlas", 1), ("audiobook", 1)]))
        await order.becomes("completed")
        assert (await check(settings)).ok  # waits until the last mail is told of, too
    yield order


def run(
    stack: Stack, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.cli.main", *arguments]
    settings = {**os.environ, **stack.environment(), **(environment or {})}
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


async def checked(stack: Stack) -> tuple[int, dict[str, list[str]]]:
    """What `check --full` ends with and prints, without the seconds that a process takes to begin."""
    report = await check(settings_of(stack), Window(full=True))
    return exit_code(report), {name: list(found) for name, found in report.invariants.items() if found}


async def database(stack: Stack, name: str, statement: str, *values: object) -> str:
    connection = await asyncpg.connect(stack.environment()[f"ORDERBUS_{name.upper()}__DATABASE_URL"])
    try:
        return str(await connection.execute(statement, *values))
    finally:
        await connection.close()


async def test_nothing_is_wrong_at_first(stack: Stack, order: Order) -> None:
    assert await checked(stack) == (0, {})
    ended = run(stack, "check", "--full", "--json")
    report: dict[str, Any] = json.loads(ended.stdout)
    assert (ended.returncode, report["ok"], [*filter(None, report["invariants"].values())]) == (0, True, [])


async def test_a_message_that_is_not_in_an_inbox_is_named_and_a_replay_would_handle_it_again(
    stack: Stack, order: Order
) -> None:
    """All that payments has handled is forgotten."""
    await database(stack, "payments", "create table away as select * from inbox")
    await database(stack, "payments", "delete from inbox")
    code, wrong = await checked(stack)
    await database(stack, "payments", "insert into inbox select * from away")
    assert code == 1
    found = wrong["replay_changes_nothing"]
    assert any(text.startswith("payments never handled") and order.id in text for text in found), found
    assert any("handles records of the sample again" in text for text in found), found
    assert await checked(stack) == (0, {})


async def test_a_record_that_kafka_refuses_is_listed_and_is_no_loss(stack: Stack, order: Order) -> None:
    aside = (
        "insert into undeliverable (id, topic, key, headers, body, created_at, reason) "
        "values (1, 'orders.events.v1', $1, '[]', '', clock_timestamp(), 'MessageSizeTooLargeError')"
    )
    await database(stack, "checkout", aside, order.id)
    report = await check(settings_of(stack))
    await database(stack, "checkout", "delete from undeliverable")
    (listed,) = [entry for _, entry in report.attention if entry.what == "undeliverable"]
    assert (listed.subject, listed.command) == (order.id, "orderbus undeliverable show checkout 1")
    assert "MessageSizeTooLargeError" in listed.reason and "orders.events.v1" in listed.reason


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.invariant)
async def test_damage_in_a_database_is_named(stack: Stack, order: Order, damage: Damage) -> None:
    for table in ("orders", "notification_logs"):
        if f"away_{table}" in damage.statement:
            await database(stack, damage.service, f"create table away_{table} (like {table})")
    await database(stack, damage.service, damage.statement, order.id)
    code, wrong = await checked(stack)
    await database(stack, damage.service, damage.undo, order.id)
    assert code == 1
    named = wrong[damage.invariant]
    assert any(order.id in text or order.number in text or "stock" in text for text in named), wrong
    assert await checked(stack) == (0, {})


async def test_an_event_that_is_in_no_window_is_looked_for_further_back(stack: Stack, order: Order) -> None:
    since = datetime.now(UTC).isoformat()
    await database(stack, "payments", "update payments set changed_at = clock_timestamp() where key = $1", order.id)
    assert run(stack, "check", "--since", since).returncode == 0, "its last event is there, before the window"
    lost = "update payments set sequence = sequence + 1, changed_at = clock_timestamp() where key = $1"
    await database(stack, "payments", lost, order.id)
    ended = run(stack, "check", "--since", since, "--json")
    await database(stack, "payments", "update payments set sequence = sequence - 1 where key = $1", order.id)
    assert ended.returncode == 1
    (named,) = json.loads(ended.stdout)["invariants"]["every_event_published"]
    assert named.startswith(f"payments's events of {order.id}: ") and named.endswith(" missing on the topic")


async def test_an_item_in_progress_is_excused_by_its_own_call_only(stack: Stack, order: Order) -> None:
    """Not by the timer of an unpaid order, a webhook that waits for its next try, or another item's call."""
    status = "update deliveries set data = jsonb_set(data, '{items,1,status}', to_jsonb($2::text)) where key = $1"
    timer = "insert into timers values ($1, 'a', now() + '7 days', 'PaymentOverdue', '{}', '[]', gen_random_uuid())"
    call = (
        "insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial, attempts, "
        "lease, leased_by, in_doubt, abandoned, error, history) values (gen_random_uuid(), $1, $2, $3, '[]', "
        "now() + interval '4 hours', now(), 'd', false, 3, 0, '', false, false, '', '[]')"
    )
    await database(stack, "fulfillment", status, order.id, "in_progress")
    await database(stack, "checkout", timer, order.id)
    await database(stack, "notifications", call, order.id, "PostWebhook", "{}")
    rule, found = f"fulfillment, order {order.number} breaks: nothing is in progress at rest", []
    item = "(select data #> '{items,1,id}' from deliveries where key = $1)"
    for about in ("'\"another\"'::jsonb", item, "null"):
        take = f"jsonb_build_object('pool', 's-1/keys', 'order', $1::text, 'item', {about}, 'quantity', 1)::text"
        await database(stack, "fulfillment", call.replace("$3", take), order.id, "TakeCode")
        found.append(rule in (await checked(stack))[1].get("rows_keep_their_rules", []))
        await database(stack, "fulfillment", "delete from operations")
    await database(stack, "notifications", "delete from operations")
    await database(stack, "checkout", "delete from timers")
    await database(stack, "fulfillment", status, order.id, "delivered")
    assert found == [True, False, False], "the last cannot be read: it may be about this item"
    assert await checked(stack) == (0, {})


UNREADABLE = (
    ("fulfillment", "stock", "update stock set data = jsonb_set(data, '{on_hand}', '\"secret\"')"),
    ("notifications", "endpoints", "update endpoints set data = jsonb_set(data, '{endpoints}', '\"secret\"')"),
    ("checkout", "orders", "update orders set data = jsonb_set(data, '{paid}', '\"secret\"')"),
)


@pytest.mark.parametrize(("service", "table", "damage"), UNREADABLE, ids=lambda value: value.split()[0])
async def test_a_row_that_cannot_be_read_is_named_and_ends_nothing(
    stack: Stack, order: Order, service: str, table: str, damage: str
) -> None:
    await database(stack, service, f"create table kept_{table} as select * from {table}")
    assert await database(stack, service, damage) != "UPDATE 0"
    ended = run(stack, "check", "--full", "--json")
    await database(stack, service, f"update {table} t set data = a.data from kept_{table} a where a.key = t.key")
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)["invariants"]
    assert all(
        text.startswith(f"{service}, {table} ") and text.endswith(": its data cannot be read (ValidationError)")
        for text in found.pop("rows_agree")
        if "what waits for staff cannot be listed" not in text
    )
    assert not any(found.values()), "it is all that is said of it"
    assert "secret" not in ended.stdout + ended.stderr
    assert await checked(stack) == (0, {})


async def test_columns_that_a_newer_build_has_added_are_ignored(stack: Stack, order: Order) -> None:
    tables = {
        "checkout": ("orders", "inbox", "outbox", "operations", "timers", "parked", "correspondence"),
        "payments": ("payments", "ledger_entries"),
        "fulfillment": ("deliveries", "stock"),
    }
    for service, names in tables.items():
        for name in names:
            await database(stack, service, f"alter table {name} add column added text not null default ''")
    code = await checked(stack)
    for service, names in tables.items():
        for name in names:
            await database(stack, service, f"alter table {name} drop column added")
    assert code == (0, {})


async def test_what_waits_for_staff_is_listed_and_is_no_violation(stack: Stack, order: Order) -> None:
    pause = "insert into destinations values ('stripe', now(), 'the key is refused', 'payments-0', now(), 1)"
    await database(stack, "payments", pause)
    code, wrong = await checked(stack)
    await database(stack, "payments", "delete from destinations")
    assert (code, wrong) == (2, {})


async def test_a_check_that_cannot_be_made_says_so(stack: Stack, order: Order) -> None:
    wrong = {"ORDERBUS_PAYMENTS__DATABASE_URL": "postgresql://orderbus@127.0.0.1:1/payments"}
    ended = run(stack, "check", "--full", environment=wrong)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "The check cannot be made: ORDERBUS_PAYMENTS__DATABASE_URL: nothing accepts connections at" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_the_second_check_reads_what_changed_and_a_full_one_everything(
    stack: Stack, order: Order, tmp_path: Path
) -> None:
    checkpoint = ["check", "--json", "--checkpoint", str(tmp_path / "checks.db")]
    first, second = json.loads(run(stack, *checkpoint).stdout), json.loads(run(stack, *checkpoint).stdout)
    assert (first["since"], first["ok"], second["ok"]) == (None, True, True)
    assert second["since"] is not None
    lost = "update payments set captured = captured - 1, changed_at = now() - interval '5 seconds'"
    await database(stack, "payments", lost)
    code = run(stack, *checkpoint).returncode
    again = run(stack, *checkpoint).returncode
    await database(stack, "payments", "update payments set captured = captured + 1")
    assert (code, again) == (1, 1), "what was found once is found until it is repaired"
    assert run(stack, *checkpoint, "--full").returncode == 0


async def test_a_row_of_a_clock_that_was_ahead_is_not_in_motion_for_ever(stack: Stack, order: Order) -> None:
    paid = "data = jsonb_set(data, '{paid}', to_jsonb((data ->> 'paid')::bigint + $2)), paid = paid + $2"
    ahead = "changed_at = clock_timestamp() + interval '1 day'"
    await database(stack, "checkout", f"update orders set {paid}, {ahead} where key = $1", order.id, -1)
    code, wrong = await checked(stack)
    now = "changed_at = clock_timestamp() - interval '1 minute'"
    await database(stack, "checkout", f"update orders set {paid}, {now} where key = $1", order.id, 1)
    assert code == 1
    assert any(order.number in text for text in wrong["refunds_within_captures"]), wrong


async def test_a_checkpoint_of_a_clock_that_was_ahead_is_begun_again(
    stack: Stack, order: Order, tmp_path: Path
) -> None:
    path = tmp_path / "checks.db"
    checkpoint = ["check", "--checkpoint", str(path)]
    assert run(stack, *checkpoint).returncode == 0
    with closing(sqlite3.connect(path)) as book:
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        book.execute("update meta set value = ? where name = 'since'", (tomorrow,))
        book.commit()
    damage = "update payments set captured = captured + $1, changed_at = now() - interval '5 seconds'"
    await database(stack, "payments", damage, -1)
    ended = run(stack, *checkpoint)
    await database(stack, "payments", damage, 1)
    assert (ended.returncode, "it was begun again" in ended.stdout) == (1, True)
    assert run(stack, *checkpoint).returncode == 0


async def test_an_unreadable_record_is_named_by_its_place_and_ends_nothing(stack: Stack, order: Order) -> None:
    """On the compacted topic, where no service parks it."""
    servers = stack.environment()["ORDERBUS_KAFKA__BOOTSTRAP_SERVERS"]
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    place = await producer.send_and_wait(STATUS.name, b"\xff{", key=b"garbage")
    await producer.stop()
    ended = run(stack, "check", "--full")
    assert ended.returncode == 1, "the topic has a key that no order has"
    where = f"no message: {STATUS.name}, partition {place.partition}, offset {place.offset}: "
    assert where in ended.stdout
    assert "order garbage is on the status topic, but has no row" in ended.stdout
    tombstone = AIOKafkaProducer(bootstrap_servers=servers)
    await tombstone.start()
    await tombstone.send_and_wait(STATUS.name, None, key=b"garbage")
    await tombstone.stop()
    assert await checked(stack) == (0, {})


async def test_a_charge_without_a_request_is_named(stack: Stack, order: Order) -> None:
    async with StripeSandbox(stack.stripe_url, stack.secrets.stripe_control_token) as bank:
        await bank.charge(4711, "eur", order=order.id)
    code, wrong = await checked(stack)
    assert code == 1
    assert any("4711" in text or "47.11" in text for text in wrong["ledger_matches_provider"]), wrong
    assert any(order.id in text for text in wrong["one_effect_per_key"]), wrong


async def test_a_dropped_record_is_named(stack: Stack, order: Order) -> None:
    """The topic is created again with all records except one."""
    servers = stack.environment()["ORDERBUS_KAFKA__BOOTSTRAP_SERVERS"]
    records = await all_records(servers, EVENTS.name)
    of_order = [record for record in records if record.key == order.id.encode()]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.delete_topics([EVENTS.name])
    await admin.create_topics([NewTopic(EVENTS.name, 6, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    for record in records:
        if record is not of_order[1]:
            await producer.send_and_wait(EVENTS.name, record.value, key=record.key, headers=list(record.headers))
    await producer.stop()
    code, wrong = await checked(stack)
    assert code == 1
    assert any(order.id in text for text in wrong["every_event_published"]), wrong


async def all_records(servers: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    ends = await consumer.end_offsets(consumer.assignment())
    found: list[Any] = []
    while sum(ends.values()) > len(found):
        for records in (await consumer.getmany(timeout_ms=500)).values():
            found += records
    await consumer.stop()
    return found
