"""What every worker's HTTP API says of itself: readiness, and records that Kafka refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest

from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.principals import Principals
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import Progress
from shared.shell.parking import Parking
from shared.shell.ports.rows import OutboxRow
from shared.shell.ports.store import Writes
from shared.simulation.memory_database import OUTBOX, UNDELIVERABLE
from tests.unit.shell.harness import Harness

TOKEN = "secret"
STAFF = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def edge_of(harness: Harness, ready: Readiness | None = None) -> AsyncIterator[TestClient[Any, Any]]:
    batcher, no_engine = harness.batcher(), None
    api = ShellHttpApi(harness.registry, harness.store, batcher, harness.clock, no_engine)  # type: ignore[arg-type]
    parking = Parking(harness.registry, harness.store, batcher, harness.clock)
    operations = harness.operations()
    app = application(
        harness.registry, api, parking, operations, harness.metrics, Principals.of_token(TOKEN), ready or Readiness()
    )
    async with TestClient(TestServer(app)) as client:
        yield client


async def aside(harness: Harness) -> None:
    """Record 1 of three of a key is refused; 3 is another key's."""
    rows = [OutboxRow("events", key, b'[["ce_type","order.placed"]]', body) for key, body in ROWS]
    async with harness.store.begin() as tx:
        await tx.write(Writes(outbox=rows))
    await harness.store.mark_undeliverable({1: "MessageSizeTooLargeError"})
    assert await harness.store.wait_behind([2, 3, 4]) == {2, 4}


ROWS = (("a", b"large"), ("a", b"2"), ("b", b"other"), ("a", b"4"))


class TestReady:
    async def test_a_worker_that_misses_nothing_is_ready(self) -> None:
        progress = Progress()
        async with edge_of(Harness(), Readiness(progress.standing_still, progress.ages)) as client:
            answer = await client.get("/ready")
            assert answer.status == 200
            assert await answer.json() == {
                "ready": True,
                "missing": [],
                "progress": {"reader": 0, "batcher": 0, "relay": 0, "timers": 0, "operations": 0},
                "notes": [],
            }

    async def test_a_part_that_stands_still_is_named_with_its_age(self) -> None:
        at = 1000.0
        progress = Progress(lambda: at)
        progress.waits("relay")
        at += 75
        notes = ["topic orders.events.v1 is held up: UnknownTopicOrPartitionError"]
        async with edge_of(Harness(), Readiness(progress.standing_still, progress.ages, lambda: notes)) as client:
            answer = await client.get("/ready")
            assert answer.status == 503
            said = await answer.json()
        assert (said["ready"], said["missing"], said["progress"]["relay"]) == (False, ["relay"], 75)
        assert said["notes"] == notes

    def test_the_metric_tells_the_age_when_it_is_asked(self) -> None:
        at = 1000.0
        progress = Progress(lambda: at)
        metrics = Metrics("meter", "meter-0", (), progress)
        progress.waits("batcher")
        at += 12
        told = generate_latest(metrics.registry).decode()
        assert 'orderbus_progress_age_seconds{part="batcher",service="meter",worker="meter-0"} 12.0' in told
        assert 'orderbus_progress_age_seconds{part="relay",service="meter",worker="meter-0"} 0.0' in told


class TestUndeliverable:
    async def test_it_is_listed_with_what_waits_behind_it_and_shown_whole(self) -> None:
        harness = Harness()
        await aside(harness)
        async with edge_of(harness) as client:
            listed = await (await client.get("/undeliverable", headers=STAFF)).json()
            whole = await (await client.get("/undeliverable/1", headers=STAFF)).json()
            unauthorised = await client.get("/undeliverable")
            missing = await client.get("/undeliverable/2", headers=STAFF)
        (row,) = listed["undeliverable"]
        assert (row["id"], row["topic"], row["key"], row["waiting"]) == (1, "events", "a", 2)
        assert (row["type"], row["error"]) == ("order.placed", "MessageSizeTooLargeError")
        assert whole == row | {"headers": [["ce_type", "order.placed"]], "body": "large"}
        assert (unauthorised.status, missing.status) == (401, 404)

    async def test_staff_have_it_sent_again(self) -> None:
        harness = Harness()
        await aside(harness)
        async with edge_of(harness) as client:
            answer = await client.post("/undeliverable/1/retry", headers=STAFF)
            assert await answer.json() == {"sent_again": 3}
            again = await client.post("/undeliverable/1/retry", headers=STAFF)
            assert again.status == 404
        assert sorted(row.id for row, _ in harness.store.rows(OUTBOX).values()) == [1, 2, 3, 4]

    async def test_staff_drop_it_and_those_behind_it_go_on(self) -> None:
        harness = Harness()
        await aside(harness)
        async with edge_of(harness) as client:
            answer = await client.post("/undeliverable/1/drop", headers=STAFF)
            assert await answer.json() == {"sent_again": 2}
        assert sorted(row.id for row, _ in harness.store.rows(OUTBOX).values()) == [2, 3, 4]
        assert not harness.store.rows(UNDELIVERABLE)
