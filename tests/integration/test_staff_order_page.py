"""The routes of one order, over what staff's read models and archive have of simulated orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain import PROJECTION
from services.staff.domain.archive import EventRow
from services.staff.domain.timeline import timeline
from services.staff.order_page import add_order_page
from services.staff.storage import read_models
from shared.contracts.envelope import BadMessage, from_headers
from shared.contracts.notifications import MessageStatusRecord
from shared.contracts.order_status import OrderStatusRecord
from shared.shell.http.application import Readiness, probed
from shared.shell.http.principals import Principals
from shared.shell.ports.bus import BusRecord
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.read_models import PostgresReadModels
from shared.shell.projection.fold import Fold
from tests.integration.conftest import NewDatabase
from tests.integration.staff_records import simulated_records
from tests.integration.test_read_models import projector_of

TOKEN = "t" * 20
PARTS = {
    "order": "orders.status.v1",
    "payment": "payments.status.v1",
    "deliveries": "deliveries.status.v1",
    "messages": "messages.status.v1",
}


@dataclass
class Api:
    """As the routes use it."""

    engine: AsyncEngine


@dataclass
class Staff:
    client: TestClient[Any, Any]
    records: Sequence[BusRecord]

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        async with self.client.get(f"/api/v1/orders/{path}", params=query) as response:
            assert response.status == 200, await response.text()
            found: dict[str, Any] = await response.json()
            return found

    async def status(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> int:
        async with self.client.get(f"/api/v1/orders/{path}", params=query, headers=headers) as response:
            return response.status

    async def pages(self, path: str, what: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            page = await self.get(path, **query, **after)
            found += page[what]
            if page["next"] is None:
                return found
            after = {"after": page["next"]}

    def told(self, part: str) -> Mapping[str, list[tuple[datetime, dict[str, Any]]]]:
        """By order: every status record that was sent in earnest, and when."""
        found = defaultdict[str, list[tuple[datetime, dict[str, Any]]]](list)
        for record in self.records:
            if record.topic == PARTS[part] and record.value and record.key:
                with suppress(BadMessage, ValueError):
                    envelope = from_headers(record.headers, record.key)
                    found[record.key.decode()].append((envelope.time, orjson.loads(record.value)))
        return found


async def with_records(url: str) -> None:
    engine = create_engine(url, "test")
    await projector_of(PROJECTION, read_models, PostgresReadModels(engine, read_models)).take(told_records())
    await engine.dispose()


def told_records() -> Sequence[BusRecord]:
    return simulated_records(2, faults="none")


@pytest_asyncio.fixture
async def staff(new_database: NewDatabase) -> AsyncIterator[Staff]:
    engine, records = create_engine(await new_database("staff", with_records), "test"), told_records()
    app = probed("staff", CollectorRegistry(), Principals.of_token(TOKEN), Readiness())
    add_order_page(app, Api(engine))  # type: ignore[arg-type]
    async with TestClient(TestServer(app), headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield Staff(client, records)
    await engine.dispose()


async def test_an_order_is_there_whole_by_id_and_number_and_not_sent_again_unless_it_changed(staff: Staff) -> None:
    for key, told in staff.told("order").items():
        last = max((record for _, record in told), key=lambda record: record["revision"])
        found = await staff.get(key)
        assert (found["order_id"], found["order"], found["as_of"]) == (key, last, None)
        assert found["revisions"]["order"] == last["revision"]
        assert {part for part in PARTS if found[part]} == found["revisions"].keys()
        assert await staff.get(last["number"].removeprefix("ORD-").lower()) == found
        async with staff.client.get(f"/api/v1/orders/{key}") as response:
            tag = response.headers["ETag"]
        assert await staff.status(key, {"If-None-Match": f'"1-1-1-1", {tag}'}) == 304
        assert await staff.status(key, {"If-None-Match": '"1-1-1-1"'}) == 200
    assert await staff.status("unknown") == 404


async def test_a_timeline_is_not_sent_again_until_more_is_in_it(staff: Staff) -> None:
    key = next(iter(staff.told("order")))
    for path in (f"{key}/timeline", f"{key}/events"):
        async with staff.client.get(f"/api/v1/orders/{path}") as response:
            tag = response.headers["ETag"]
        assert await staff.status(path, {"If-None-Match": tag}) == 304
        assert await staff.status(path, {"If-None-Match": tag}, sort="oldest") == 200
        assert await staff.status(path, {"If-None-Match": '"other"'}) == 200


async def test_an_order_as_it_was_is_what_the_status_records_said_then(staff: Staff) -> None:
    """At the time of each record, just before it, and after the last one."""
    every = {part: staff.told(part) for part in PARTS}
    for key, told in list(every["order"].items())[:6]:
        moments = [at + shift for at, _ in told for shift in (timedelta(0), -timedelta(microseconds=1))]
        for moment in {*moments, max(moments) + timedelta(days=90)}:
            expected = {}
            for part, records in every.items():
                by_then = [record for at, record in records.get(key, ()) if at <= moment]
                if by_then:
                    expected[part] = max(by_then, key=lambda record: record["revision"])
            if not expected:
                assert await staff.status(key, as_of=moment.isoformat()) == 404
                continue
            found = await staff.get(key, as_of=moment.isoformat())
            assert {part: found[part] for part in PARTS if found[part]} == expected, moment


async def test_pages_of_the_timeline_are_the_timeline(staff: Staff) -> None:
    folded, _ = Fold(PROJECTION, read_models).fold(staff.records, {}, datetime.min)
    rows = {(row.key, row.at, row.id): row for row in folded.kept if isinstance(row, EventRow)}
    for key, told in list(staff.told("order").items())[:6]:
        events = [row for row in rows.values() if row.key == key and row.topic.endswith(".events.v1")]
        record = OrderStatusRecord.model_validate_json(orjson.dumps(told[-1][1]))
        messages = [record for _, record in staff.told("messages").get(key, ())]
        newest = max(messages, key=lambda record: record["revision"], default=None)
        sent = MessageStatusRecord.model_validate_json(orjson.dumps(newest)) if newest else None
        expected = [(entry.id, entry.text) for entry in timeline(events, record, sent)]

        oldest_first = await staff.pages(f"{key}/timeline", "entries", sort="oldest", limit=3)
        newest_first = await staff.pages(f"{key}/timeline", "entries", limit=7)

        assert [(entry["id"], entry["text"]) for entry in oldest_first] == expected
        assert newest_first == oldest_first[::-1]


async def test_events_are_there_as_they_were_sent(staff: Staff) -> None:
    key = next(iter(staff.told("order")))
    events = await staff.pages(f"{key}/events", "events", sort="oldest", limit=4)
    sent = [
        orjson.loads(record.value or b"null")
        for record in staff.records
        if record.topic.endswith(".events.v1") and record.key == key.encode()
    ]
    assert len(events) == len(sent) and all(event["body"] in sent for event in events)
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert {event["topic"].rpartition(".events")[2] for event in events} == {".v1"}


async def test_what_no_page_gave_is_refused(staff: Staff) -> None:
    key = quote(next(iter(staff.told("order"))))
    for name, value in (("after", "x"), ("limit", "0"), ("sort", "best")):
        async with staff.client.get(f"/api/v1/orders/{key}/timeline", params={name: value}) as response:
            assert response.status == 400
    assert await staff.status(key, as_of="yesterday") == 400
