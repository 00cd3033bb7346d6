"""The shell between Kafka and PostgreSQL: sharing, garbage, repetition, restart."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import orjson
from aiokafka import AIOKafkaConsumer

from shared.contracts.envelope import Envelope, to_headers
from shared.shell.kafka.source import FETCH_BYTES
from shared.shell.kafka.topics import dead_letters
from tests.integration.toy import EVENTS, Fill, Ship, Take
from tests.integration.toy_on_kafka import World, ids, world

__all__ = ["world"]


async def test_two_workers_share_the_work_and_every_event_is_published_once_in_order(world: World) -> None:
    await world.worker(0)
    await world.worker(1)
    await world.publish("s", Fill(shelf="s", count=500))
    await world.until("select data->>'things' from shelves", ("500",))
    for n in range(200):
        await world.publish(f"b-{n % 10}", Take(shelf="s"))
    await world.until("select sum(things) from boxes", (200,))
    await world.until("select count(*) from outbox", (0,))
    found = await world.records(EVENTS.name, 200)
    for box in range(10):
        assert [sequence for key, sequence in found if key == f"b-{box}"] == list(range(1, 21))


async def test_the_same_message_published_twice_changes_nothing(world: World) -> None:
    await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=5))
    await world.until("select data->>'things' from shelves", ("5",))
    identity = next(ids)
    await world.publish("b-1", Take(shelf="s"), identity)
    await world.publish("b-1", Take(shelf="s"), identity)
    await world.publish("b-2", Take(shelf="s"))
    await world.until("select key, things from boxes order by key", ("b-1", 1), ("b-2", 1))


async def test_records_larger_than_a_fetch_come_whole_and_hold_nothing_up(world: World) -> None:
    await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=5))
    await world.until("select data->>'things' from shelves", ("5",))
    for box in ("b-1", "b-2"):
        await world.publish(box, Take(shelf="s", note="x" * 4 * FETCH_BYTES))  # larger than a message may be, too
        await world.publish(box, Take(shelf="s", note="x" * 3 * FETCH_BYTES))
    await world.publish("b-3", Take(shelf="s"))
    await world.until("select key, things from boxes where things > 0 order by key", ("b-1", 1), ("b-2", 1), ("b-3", 1))


async def test_garbage_is_parked_alone_and_everything_else_goes_on(world: World) -> None:
    await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=500))
    await world.until("select data->>'things' from shelves", ("500",))
    good = to_headers(Envelope(next(ids), "toy.take", "test", "g-1", datetime.now(UTC)))
    await world.raw(b"g-1", b"{not json", good)
    await world.raw(b"g-2", b"{}", [])
    await world.raw(None, b"{}", [("ce_type", b"\xff")])
    await world.raw(b"\xff\xfe", b"\xff", [("ce_id", b"x")])
    await world.raw(b"\xff", b"{}", [("ce_type", b"toy.take")])
    big = to_headers(Envelope(next(ids), "toy.take", "test", "g-3", datetime.now(UTC)))
    await world.raw(b"g-3", b'{"shelf":"' + b"x" * 1_048_000 + b'"}', big)
    await world.publish("b-1", Take(shelf="s", note="fine"))
    await world.until("select sum(things) from boxes", (1,))
    await world.until("select count(*) from parked", (2,))  # what has neither a key nor a type; all else is refused
    await world.until("select count(*) from outbox", (0,))


async def test_a_poison_record_with_an_enormous_header_holds_up_no_event(world: World) -> None:
    """Its dead letter was larger than Kafka takes, and was repeated without end before everything else."""
    await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=500))
    await world.until("select data->>'things' from shelves", ("500",))
    await world.raw(None, b"{}", [("ce_id", b"x"), ("poison", b"\xff" * 750_000)])
    await world.until("select count(*) from parked", (1,))
    for n in range(20):
        await world.publish(f"b-{n}", Take(shelf="s"))
    await world.until("select sum(things) from boxes", (20,))
    await world.until("select count(*) from outbox", (0,), seconds=5)
    assert len(await world.records(EVENTS.name, 20)) == 20
    consumer = AIOKafkaConsumer(
        dead_letters("toy").name, bootstrap_servers=world.settings.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    async with asyncio.timeout(10):
        letter = await consumer.getone()
    await consumer.stop()
    assert orjson.loads(dict(letter.headers)["orderbus_cut"])["header_bytes"] > 750_000


async def test_a_worker_that_stops_and_starts_again_goes_on_where_it_was(world: World) -> None:
    first = await world.worker(0)
    await world.publish("s", Fill(shelf="s", count=500))
    await world.until("select data->>'things' from shelves", ("500",))
    for n in range(50):
        await world.publish(f"b-{n}", Take(shelf="s"))
    await first.stop(5)
    world.shells.remove(first)
    for n in range(50):
        await world.publish(f"b-{n}", Ship())
    await world.worker(0)
    await world.until("select count(*) from boxes where data->>'label' = 'box of 1'", (50,))
