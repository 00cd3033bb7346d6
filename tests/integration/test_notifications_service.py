"""The whole service on PostgreSQL, with a mail server and a webhook receiver; only Kafka is left out."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import UUID

import aiohttp
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from services.notifications.app import notifications_service
from services.notifications.domain.endpoint import Endpoints
from services.notifications.domain.invariants import broken
from services.notifications.settings import NotificationsSettings
from services.notifications.storage import metadata, read_endpoints, read_notification_log
from shared.contracts.checkout import OrderCompleted
from shared.core import MESSAGES, Message, derived_id
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.principals import Principals
from shared.shell.inbound.message import Inbound
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.conftest import NewDatabase
from tests.integration.test_notifications_smtp import Mailbox, mail_server
from tests.integration.test_notifications_webhooks import Receiver
from tests.integration.test_shell_on_postgres import Collected, NoSource
from tests.unit.notifications.examples import PAID, STORE, placed

TOKEN = "a-token-for-this-test"
_ids = (derived_id(UUID(int=11), n, datetime.now(UTC)) for n in count(1))


def new_id() -> UUID:
    return next(_ids)


class MovableClock:
    """This machine's clock, and what the test adds to it."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def move(self, **time: float) -> None:
        self._ahead += timedelta(**time)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@dataclass
class Running:
    """A worker of notifications and everything around it."""

    shell: Shell
    engine: AsyncEngine
    sink: Collected
    mailbox: Mailbox
    receiver: Receiver
    http: aiohttp.ClientSession
    clock: MovableClock

    async def hear(self, key: str, *messages: Message) -> None:
        await self.shell.batcher.handle([Inbound(new_id(), key, message) for message in messages])

    async def ask(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        async with self.http.request(method, path, json=body, headers=headers) as response:
            return response.status, json.loads(await response.read())

    async def at_rest(self, key: str) -> dict[str, Any]:
        """An order's notifications, once none is pending."""
        for _ in range(300):
            status, shown = await self.ask("GET", f"/orders/{key}/notifications")
            states = [one["state"] for one in (*shown.get("mails", ()), *shown.get("webhooks", ()))]
            if status == 200 and "pending" not in states:
                assert isinstance(shown, dict)
                return shown
            await asyncio.sleep(0.02)
        raise AssertionError(shown)

    async def commands(self, type: str) -> list[tuple[str, Any]]:
        """Commands that notifications sent to itself, by key; Kafka would deliver them."""
        for _ in range(200):
            rows = [row for row in self.sink.rows if dict(json.loads(row.headers))["ce_type"] == type]
            if rows:
                return [(row.key, MESSAGES[type, 1].model_validate_json(row.body)) for row in rows]
            await asyncio.sleep(0.02)
        raise AssertionError(f"no {type}")

    async def emitted(self) -> list[tuple[str, Any]]:
        """Type and body of every event that reached the bus."""
        async with self.engine.connect() as connection:
            while (await connection.execute(sa.text("select count(*) from outbox"))).scalar_one():
                await asyncio.sleep(0.02)
                await connection.rollback()
        return [(dict(json.loads(row.headers))["ce_type"], json.loads(row.body)) for row in self.sink.rows]


@pytest_asyncio.fixture
async def running(new_database: NewDatabase) -> AsyncIterator[Running]:
    url = await new_database("notifications")
    receiver, sink, clock = Receiver(), Collected(), MovableClock()
    async with mail_server() as mailbox:
        settings = _settings(url, mailbox.port)
        engine = create_engine(url, "test")
        store = PostgresStore(engine)
        await store.housekeep(datetime.now(UTC), 9)
        service = notifications_service(settings, engine)
        shell = Shell(
            service,
            "notifications-0",
            store=store,
            source=NoSource(),
            sink=sink,
            lock=lambda: PostgresRelayLock(url, "notifications-0"),
            clock=clock,
            rng=random.Random(1),
        )
        api = ShellHttpApi(shell.registry, store, shell.batcher, shell.clock, engine)
        app = application(
            shell.registry, api, shell.parking, shell.operations, shell.metrics, Principals.of_token(TOKEN), Readiness()
        )
        outside = web.Application()
        outside.router.add_post("/in", receiver.handle)
        runners = [web.AppRunner(app), web.AppRunner(outside)]
        ports = [await _serve(runner) for runner in runners]
        receiver.url = f"http://127.0.0.1:{ports[1]}/in"
        await shell.start()
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{ports[0]}", headers=bearer) as http:
            yield Running(shell, engine, sink, mailbox, receiver, http, clock)
        for runner in runners:
            await runner.cleanup()
        await shell.stop(2)
        for close in service.resources:
            await close()
        await engine.dispose()


async def _serve(runner: web.AppRunner) -> int:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


def _settings(url: str, smtp_port: int) -> NotificationsSettings:
    return NotificationsSettings.model_validate(
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "api_token": TOKEN,
            "notifications": {"database_url": url, "feed_secret": "a-secret-of-the-test"},
            "smtp": {"port": smtp_port, "timeout": 5},
            "webhooks_to_private_addresses": True,
        }
    )


async def test_the_migration_creates_the_tables_that_the_code_uses(running: Running) -> None:
    columns = "select table_name || '.' || column_name from information_schema.columns where table_schema = 'public'"
    async with running.engine.connect() as connection:
        there = set((await connection.execute(sa.text(columns))).scalars())
    assert {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns} <= there


async def test_an_order_brings_emails_webhook_deliveries_and_feed_entries(running: Running) -> None:
    status, made = await running.ask(
        "POST", f"/stores/{STORE.id}/webhooks", {"url": running.receiver.url, "events": ["order.received"]}, "one"
    )
    assert status == 201 and made["secret"].startswith("whsec_")
    await running.hear("o-1", placed(), PAID)
    shown = await running.at_rest("o-1")

    assert [mail["state"] for mail in shown["mails"]] == ["sent", "sent"]
    assert sorted(str(mail["To"]) for mail in running.mailbox.emails) == ["ada@example.com", "staff@northwind.example"]
    ((headers, body),) = running.receiver.requests
    payload = Webhook(made["secret"]).verify(body, {name.lower(): value for name, value in headers.items()})
    assert payload["data"]["order_number"] == "ORD-ABCDEFGH12"
    (hook,) = shown["webhooks"]
    assert (hook["state"], hook["attempts"], hook["log"][0]["result"]) == ("delivered", 1, "HTTP 204")

    assert {kind for kind, _ in await running.emitted()} == {"message.status"}
    log, endpoints = await read_notification_log(running.engine, "o-1"), await read_endpoints(running.engine, STORE.id)
    assert log and list(broken(log, endpoints, at_rest=True)) == []
    assert "whsec_" not in json.dumps(shown)

    _, feed = await running.ask("GET", f"/feeds/{shown['feeds']['customer']}")
    assert feed["unread"] == 2 and {entry["kind"] for entry in feed["entries"]} == {"order_placed", "order_paid"}


async def test_an_endpoint_gets_events_from_its_registration_on(running: Running) -> None:
    """Also where the store's endpoints were read a moment before, and where it was paused until then."""
    events = {"url": running.receiver.url, "events": ["order.received"]}
    path = f"/stores/{STORE.id}/webhooks"
    await running.ask("POST", path, events, "one")
    await running.hear("o-1", placed(), PAID)
    await running.at_rest("o-1")
    _, second = await running.ask("POST", path, events, "two")
    await running.hear("o-2", placed(), PAID)
    assert [hook["state"] for hook in (await running.at_rest("o-2"))["webhooks"]] == ["delivered"] * 2

    await running.ask("POST", f"{path}/{second['endpoint']}/pause", {}, "three")
    await running.hear("o-3", placed(), PAID)
    assert sorted(hook["state"] for hook in (await running.at_rest("o-3"))["webhooks"]) == ["delivered", "paused"]
    await running.ask("POST", f"{path}/{second['endpoint']}/resume", {}, "four")
    await running.ask("POST", "/orders/o-3/webhooks/replay", {}, "five")
    assert [hook["state"] for hook in (await running.at_rest("o-3"))["webhooks"]] == ["delivered"] * 2


async def test_a_secret_is_shown_once(running: Running) -> None:
    request = {"url": running.receiver.url, "events": ["order.received"]}
    path = f"/stores/{STORE.id}/webhooks"
    _, made = await running.ask("POST", path, request, "one")
    status, again = await running.ask("POST", path, request, "one")
    assert (status, again["endpoint"], again["secret"], again["duplicate"]) == (200, made["endpoint"], None, True)

    status, other = await running.ask("POST", path, {**request, "events": ["order.completed"]}, "one")
    assert (status, other["code"]) == (422, "idempotency_key_reused")
    _, listing = await running.ask("GET", path)
    assert [hook["endpoint"] for hook in listing["webhooks"]] == [made["endpoint"]]
    assert "secret" not in listing["webhooks"][0]
    status, wrong = await running.ask("POST", path, {"url": "ftp://x", "events": ["order.lost"]}, "two")
    assert status == 400 and {problem["field"] for problem in wrong["problems"]} >= {"url", "events.0"}


async def test_an_endpoint_that_is_registered_ten_times_at_once_is_made_once(running: Running) -> None:
    request, path = {"url": running.receiver.url, "events": ["order.received"]}, f"/stores/{STORE.id}/webhooks"
    answers = await asyncio.gather(*(running.ask("POST", path, request, "one") for _ in range(10)))
    assert sorted(status for status, _ in answers) == [200] * 9 + [201]
    assert len([made["secret"] for _, made in answers if made["secret"]]) == 1
    (endpoint,) = {made["endpoint"] for _, made in answers}
    await running.ask("DELETE", f"{path}/{endpoint}", None, "remove")
    status, again = await running.ask("POST", path, request, "one")
    assert (status, again["secret"], again["duplicate"]) == (200, None, True)


async def test_endpoints_are_paused_resumed_and_removed_and_paused_deliveries_are_replayed(running: Running) -> None:
    path = f"/stores/{STORE.id}/webhooks"
    _, made = await running.ask("POST", path, {"url": running.receiver.url, "events": ["order.completed"]}, "one")
    endpoint = f"{path}/{made['endpoint']}"
    assert (await running.ask("POST", f"{endpoint}/pause", {"reason": "moving"}, "pause"))[0] == 202
    await running.hear("o-1", placed(), PAID, OrderCompleted())
    shown = await running.at_rest("o-1")
    assert [hook["state"] for hook in shown["webhooks"]] == ["paused"]

    await running.ask("POST", f"{endpoint}/resume", None, "resume")
    await asyncio.sleep(1.05)  # the gateway remembers endpoints for a second
    assert (await running.ask("POST", "/orders/o-1/webhooks/replay", {}, "replay"))[0] == 202
    shown = await running.at_rest("o-1")
    assert [hook["state"] for hook in shown["webhooks"]] == ["delivered"]
    status, refused = await running.ask("POST", "/orders/o-1/webhooks/replay", {}, "replay again")
    assert (status, refused["code"]) == (409, "nothing_to_replay")

    assert (await running.ask("DELETE", endpoint, None, "gone"))[0] == 202
    assert (await running.ask("DELETE", endpoint, None, "gone twice"))[0] == 404
    assert await read_endpoints(running.engine, STORE.id) == Endpoints()


async def test_an_endpoint_that_accepts_nothing_is_listed_with_its_answer(running: Running) -> None:
    path, events = f"/stores/{STORE.id}/webhooks", {"url": running.receiver.url, "events": ["order.received"]}
    await running.ask("POST", path, events, "one")
    running.receiver.will_answer(*[401] * 20)
    await running.hear("o-1", placed(), PAID)
    async with asyncio.timeout(20):
        while not (listed := (await running.ask("GET", path))[1]["webhooks"][0])["waiting"]:
            await asyncio.sleep(0.1)
    assert (listed["waiting"], "401" in listed["error"], bool(listed["waiting_since"])) == (1, True, True)
    status, refused = await running.ask("POST", "/orders/o-1/webhooks/replay", {}, "replay")
    assert (status, refused["code"]) == (409, "nothing_to_replay")
    assert "is tried again by itself" in refused["title"]


async def test_a_feed_is_read_marked_archived_and_paged(running: Running) -> None:
    await running.hear("o-1", placed(), PAID, OrderCompleted())
    recipient = (await running.at_rest("o-1"))["feeds"]["customer"]
    _, page = await running.ask("GET", f"/feeds/{recipient}?limit=2")
    _, rest = await running.ask("GET", f"/feeds/{recipient}?limit=2&before={page['next']}")
    assert (len(page["entries"]), len(rest["entries"]), rest["next"]) == (2, 1, None)

    ids = [entry["id"] for entry in page["entries"]]
    assert (await running.ask("POST", f"/feeds/{recipient}/read", {"ids": ids[:1]}))[1] == {"changed": 1, "unread": 2}
    assert (await running.ask("POST", f"/feeds/{recipient}/read", {"ids": ids[:1]}))[1] == {"changed": 0, "unread": 2}
    assert (await running.ask("POST", f"/feeds/{recipient}/archive", {"ids": ids[1:]}))[1]["unread"] == 1
    assert len((await running.ask("GET", f"/feeds/{recipient}"))[1]["entries"]) == 2
    assert len((await running.ask("GET", f"/feeds/{recipient}?archived=1"))[1]["entries"]) == 1
    assert len((await running.ask("GET", f"/feeds/{recipient}?unread=1"))[1]["entries"]) == 1
    assert (await running.ask("POST", f"/feeds/{recipient}/read", {}))[1]["unread"] == 0
    for wrong in ("?limit=0", "?limit=x", "?before=x"):
        assert (await running.ask("GET", f"/feeds/{recipient}{wrong}"))[0] == 400


async def test_a_feed_is_streamed_and_continued_where_it_was_interrupted(running: Running) -> None:
    async def until(response: aiohttp.ClientResponse, wanted: int) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        name = ""
        async for line in response.content:
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: ") and name == "entry":
                entries.append(json.loads(line[6:]))
                if len(entries) == wanted:
                    break
        return entries

    async with asyncio.timeout(10), running.http.get("/feeds/northwind~staff/stream") as response:
        assert response.content_type == "text/event-stream"
        await running.hear("o-1", placed(), PAID)
        (first,) = await until(response, 1)
    await running.hear("o-2", placed(), PAID)
    again = {"Last-Event-ID": first["id"]}
    async with asyncio.timeout(10), running.http.get("/feeds/northwind~staff/stream", headers=again) as response:
        (second,) = await until(response, 1)
    assert (first["order"], second["order"]) == ("o-1", "o-2")
    await running.at_rest("o-2")


async def test_the_notifications_of_an_unknown_order_are_not_found(running: Running) -> None:
    assert (await running.ask("GET", "/orders/o-9/notifications"))[0] == 404
    async with running.http.get("/feeds/northwind~staff", headers={"Authorization": "Bearer wrong"}) as response:
        assert response.status == 401


async def test_lost_emails_are_listed_settled_and_resent_one_or_all_of_a_period(running: Running) -> None:
    running.mailbox.data = ["554 spam"] * 4
    for order in ("o-1", "o-2"):
        await running.hear(order, placed(), PAID)
        shown = await running.at_rest(order)
        assert [mail["state"] for mail in shown["mails"]] == ["failed", "failed"]
        assert all("554" in mail["text"] and mail["at"] for mail in shown["mails"])

    lost = f"/stores/{STORE.id}/lost"
    _, listed = await running.ask("GET", lost)
    assert [(one["order"], one["template"]) for one in listed["lost"]] == [
        ("o-1", "order_confirmation"),
        ("o-1", "new_order"),
        ("o-2", "order_confirmation"),
        ("o-2", "new_order"),
    ]
    first, second = listed["lost"][0]["message"], listed["lost"][1]["message"]
    request = {"message": second, "outcome": "sent", "reason": "It is in the inbox."}
    assert (await running.ask("POST", "/orders/o-1/mails/settle", request, "settle"))[0] == 202
    assert (await running.ask("POST", "/orders/o-1/mails/resend", {"messages": [first]}, "one"))[0] == 202
    shown = await running.at_rest("o-1")
    assert [mail["state"] for mail in shown["mails"]] == ["sent", "sent"]
    assert [mail["Message-ID"] for mail in running.mailbox.emails] == [first]
    status, refused = await running.ask("POST", "/orders/o-1/mails/resend", {"messages": [first]}, "again")
    assert (status, refused["code"]) == (409, "not_lost")

    hour = timedelta(hours=1)
    since, until = (datetime.now(UTC) - hour).isoformat(), (datetime.now(UTC) + hour).isoformat()
    assert (await running.ask("GET", f"{lost}?until={quote(since)}"))[1]["lost"] == []
    assert (await running.ask("GET", f"{lost}?since=yesterday"))[0] == 400
    path = f"{lost}/mails/resend"
    assert (await running.ask("POST", path, {"since": since, "until": until}, "all"))[0] == 202
    commands = await running.commands("mail.resend")
    assert [(key, len(command.messages)) for key, command in commands] == [("o-2", 1), ("o-2", 1)]
    for key, command in commands:
        await running.hear(key, command)
    shown = await running.at_rest("o-2")
    assert [mail["state"] for mail in shown["mails"]] == ["sent", "sent"]
    assert (await running.ask("GET", lost))[1]["lost"] == []


async def test_a_login_that_the_mail_server_refuses_is_reported_and_loses_no_email(running: Running) -> None:
    running.mailbox.rcpt = "530 log in first"
    await running.hear("o-1", placed(), PAID)
    for _ in range(200):
        _, shown = await running.ask("GET", "/orders/o-1/notifications")
        if all((mail["waiting"] or {}).get("error") for mail in shown["mails"]):
            break
        await asyncio.sleep(0.05)
    assert [mail["state"] for mail in shown["mails"]] == ["pending", "pending"]
    assert {mail["waiting"]["attempts"] for mail in shown["mails"]} == {0}, "no call counts"
    assert any("ORDERBUS_SMTP__USERNAME" in mail["waiting"]["error"] for mail in shown["mails"])
    running.mailbox.rcpt = ""
    for _ in range(5):
        running.clock.move(minutes=5)
        await asyncio.sleep(0.5)
    shown = await running.at_rest("o-1")
    assert [mail["state"] for mail in shown["mails"]] == ["sent", "sent"]
    customers = [mail for mail in running.mailbox.emails if mail["To"] == "ada@example.com"]
    assert "ORDERBUS" not in str(customers[0])
    _, feed = await running.ask("GET", f"/feeds/{shown['feeds']['customer']}")
    assert "ORDERBUS" not in json.dumps(feed)
