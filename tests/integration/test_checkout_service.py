"""Checkout as a whole, on PostgreSQL, through its HTTP API; only Kafka is left out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import aiohttp
import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.checkout import queries
from services.checkout.app import checkout_service
from services.checkout.settings import CheckoutSettings
from services.checkout.storage import metadata
from services.checkout.untold import UntoldStores
from shared.contracts.envelope import decode
from shared.contracts.fulfillment import StockReserved
from shared.contracts.store_status import STATUS, StoreStatusRecord
from shared.contracts.storefront import CartLine, CheckoutAbandoned, CheckoutAsked
from shared.contracts.values import Customer
from shared.core import Message, derived_id
from shared.core.epochs import SPAN
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.principals import Principals
from shared.shell.inbound.message import Inbound, Meta
from shared.shell.ports.clock import SystemClock
from shared.shell.ports.http_api import Accepted
from shared.shell.postgres.engine import create_engine, create_read_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.conftest import NewDatabase
from tests.integration.test_shell_on_postgres import Collected, NoSource
from tests.unit.checkout.examples import OPENED, captured, delivered, submission

TOKEN = "a-token-for-this-test"
STORE = {
    "name": "Northwind",
    "sender": "orders@northwind.example",
    "staff_email": "staff@northwind.example",
    "support_email": "help@northwind.example",
    "order_url": "https://northwind.example/orders/{order}",
    "currencies": ["USD"],
    "grace": "PT1H",
}
_ids = (derived_id(UUID(int=12), n, datetime.now(UTC)) for n in count(1))
_keys = (f"idempotency-{n}" for n in count(1))


@dataclass
class Running:
    """A worker of checkout, and a client of its API."""

    shell: Shell
    engine: AsyncEngine
    sink: Collected
    http: aiohttp.ClientSession
    api: ShellHttpApi

    async def receives(self, key: str, *messages: Message, actor: str = "customer") -> None:
        await self.shell.batcher.handle([Inbound(next(_ids), key, m, Meta(actor=actor)) for m in messages])

    async def ask(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        headers = {"Idempotency-Key": key or next(_keys)} if method != "GET" else {}
        async with self.http.request(method, path, json=body, headers=headers) as response:
            return response.status, orjson.loads(await response.read())

    async def get(self, path: str) -> Any:
        status, body = await self.ask("GET", path)
        assert status == 200, body
        return body


@pytest_asyncio.fixture
async def running(new_database: NewDatabase) -> AsyncIterator[Running]:
    url = await new_database("checkout")
    engine, reads, sink = create_engine(url, "test"), create_read_engine(url, "test"), Collected()
    store = PostgresStore(engine)
    await store.housekeep(datetime.now(UTC), 9)
    shell = Shell(
        checkout_service(_settings(url), engine),
        "checkout-0",
        store=store,
        source=NoSource(),
        sink=sink,
        lock=lambda: PostgresRelayLock(url, "checkout-0"),
        clock=SystemClock(),
        rng=random.Random(1),
    )
    api = ShellHttpApi(shell.registry, store, shell.batcher, shell.clock, reads)
    runner = web.AppRunner(
        application(
            shell.registry, api, shell.parking, shell.operations, shell.metrics, Principals.of_token(TOKEN), Readiness()
        )
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await shell.start()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}", headers=bearer) as http:
        yield await _with_catalogue(Running(shell, engine, sink, http, api))
    await runner.cleanup()
    await shell.stop(2)
    await engine.dispose()
    await reads.dispose()


def _settings(url: str) -> CheckoutSettings:
    return CheckoutSettings.model_validate(
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "api_token": TOKEN,
            "checkout": {"database_url": url},
        }
    )


async def _with_catalogue(running: Running) -> Running:
    assert (await running.ask("PUT", "/stores/northwind", STORE))[0] == 202
    for sku, price in {"course": 1000, "game": 2500}.items():
        body = {"product": sku.title(), "prices": {"USD": price}}
        assert (await running.ask("PUT", f"/stores/northwind/skus/{sku}", body))[0] == 202
    return running


async def test_the_migration_creates_the_tables_that_the_code_uses(running: Running) -> None:
    columns = "select table_name || '.' || column_name from information_schema.columns where table_schema = 'public'"
    async with running.engine.connect() as connection:
        there = set((await connection.execute(sa.text(columns))).scalars())
    assert {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns} <= there


async def test_an_order_lives_and_is_read_by_key_and_number(running: Running) -> None:
    await running.receives("o-1", OPENED, submission(tax=665))
    await running.receives("o-1", StockReserved(), captured(4165), delivered("1", under_way=1), delivered("2"))

    order = await running.get("/orders/o-1")
    assert (order["status"], order["payment_status"], order["purchased"]) == ("completed", "paid", 4165)
    assert [item["delivery"] for item in order["items"]] == ["delivered", "delivered"]
    assert "timeline" not in order, "staff has it"
    number = order["number"]
    for written in (number, number.lower(), number.removeprefix("ORD-"), number.removeprefix("ORD-").lower()):
        assert await running.get(f"/orders/{written}") == order
        (listed,) = (await running.get(f"/orders?q={written}"))["orders"]
        assert listed["number"] == number
    assert "pm_card_visa" not in str(order)
    assert (await running.ask("GET", "/orders/o-2"))[0] == 404


async def test_orders_are_listed_newest_first_by_pages_and_found(running: Running) -> None:
    people = ["Ada Lovelace", "Grace Hopper", "Ada Byron"]
    for index, name in enumerate(people):
        customer = Customer(name=name, email=f"{name.split()[1]}@Example.com")
        await running.receives(f"o-{index}", submission(customer=customer))
    await running.receives("o-3", OPENED)

    first = await running.get("/orders?limit=3")
    assert [order["key"] for order in first["orders"]] == ["o-3", "o-2", "o-1"]
    second = await running.get(f"/orders?limit=3&after={first['next']}")
    assert [order["key"] for order in second["orders"]] == ["o-0"]
    assert second["next"] is None

    number = first["orders"][1]["number"]
    found = {
        "status=created": ["o-3"],
        "status=created,pending_payment&store=northwind": ["o-3", "o-2", "o-1", "o-0"],
        "store=elsewhere": [],
        "q=ada": ["o-2", "o-0"],
        "q=LOVE": ["o-0"],
        "q=hopper@example.com": ["o-1"],
        f"q={number}": ["o-2"],
        f"q={number[4:9].lower()}": ["o-2"],
        "q=%25": [],
    }
    for query, keys in found.items():
        assert [order["key"] for order in (await running.get(f"/orders?{query}"))["orders"]] == keys, query


async def test_an_invalid_query_is_refused(running: Running) -> None:
    for query in ("status=lost", "limit=0", "limit=x", "limit=201", "after=zzz", "q=%00"):
        assert (await running.ask("GET", f"/orders?{query}"))[0] == 400, query


async def test_commands_are_accepted_once_or_refused(running: Running) -> None:
    await running.receives("o-1", OPENED)

    assert (await running.ask("POST", "/orders/o-1/cancel", {"reason": "Mistake"}, "k"))[1]["duplicate"] is False
    assert (await running.ask("POST", "/orders/o-1/cancel", {"reason": "Mistake"}, "k"))[1]["duplicate"] is True
    status, refused = await running.ask("POST", "/orders/o-1/cancel")
    assert (status, refused["code"]) == (409, "not_cancellable")
    status, unknown = await running.ask("POST", "/orders/o-9/complete")
    assert (status, unknown["code"]) == (404, "not_found")
    assert (await running.ask("PUT", "/stores/northwind", {"name": "x"}))[0] == 400


async def test_a_refused_checkout_is_published_on_the_topic(running: Running) -> None:
    await running.receives("o-1", submission(purchased=999))

    assert (await running.ask("GET", "/orders/o-1"))[0] == 404
    for _ in range(100):
        refusals = [orjson.loads(row.body) for row in running.sink.rows if "checkout.refused" in str(row.headers)]
        if refusals:
            break
        await asyncio.sleep(0.02)
    assert [problem["code"] for problem in refusals[0]["problems"]] == ["wrong_sum"]


async def test_stores_and_skus_are_read_back(running: Running) -> None:
    store = await running.get("/stores/northwind")
    assert (store["id"], store["currencies"], store["grace"]) == ("northwind", ["USD"], "PT1H")
    assert (store["payment_tries"], store["payment_cool_down"]) == (8, "PT1M")
    page = await running.get("/stores/northwind/skus?limit=1")
    assert ([sku["sku"] for sku in page["skus"]], page["next"]) == (["course"], "course")
    page = await running.get("/stores/northwind/skus?after=course")
    assert ([sku["sku"] for sku in page["skus"]], page["next"]) == (["game"], None)
    assert (await running.get("/stores/northwind/skus/game"))["prices"] == {"USD": 2500}
    assert (await running.ask("GET", "/stores/northwind/skus/nothing"))[0] == 404


async def test_settings_are_changed_one_by_one_and_their_history_is_kept(running: Running) -> None:
    before = await running.get("/stores/northwind/settings")
    change = {"settings": {"payment": {"grace": "P3D"}}, "reason": "Stock was held for long."}
    assert (await running.ask("PATCH", "/stores/northwind", change))[0] == 202
    wrong = {"settings": {"payment": {"tries": 0}, "words": {"sender": "orders@localhost"}}}
    status, body = await running.ask("PATCH", "/stores/northwind", wrong)
    assert (status, {problem["field"] for problem in body["problems"]}) == (409, {"payment.tries", "words.sender"})
    assert (await running.ask("PATCH", "/stores/nowhere", change))[1]["code"] == "unknown_store"

    after = await running.get("/stores/northwind/settings")
    assert after == before | {"payment": before["payment"] | {"grace": "P3D"}}
    page = await running.get("/stores/northwind/history?limit=1")
    (latest,) = page["changes"]
    assert latest["changes"] == [{"setting": "payment.grace", "before": "PT1H", "after": "P3D"}]
    assert (latest["reason"], latest["actor"]) == ("Stock was held for long.", "staff")
    (first,) = (await running.get(f"/stores/northwind/history?before={page['next']}"))["changes"]
    assert {"setting": "shop.name", "before": None, "after": "Northwind"} in first["changes"]
    assert [store["id"] for store in (await running.get("/stores"))["stores"]] == ["northwind"]


async def test_the_list_has_an_index_for_each_way_of_searching(running: Running) -> None:
    async with running.engine.begin() as connection:
        await connection.execute(sa.text("set local enable_seqscan = off"))
        for condition in ("number like 'ORD-A%'", "email like 'a%'", "lower(customer_name) like 'a%'", "number = 'x'"):
            plan = await connection.execute(sa.text(f"explain select key from orders where {condition}"))
            assert "Index" in str(plan.scalars().first()), condition


async def test_slow_reads_end_and_delay_no_message(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than there are connections, each as slow as it may be."""

    async def slowly(connection: AsyncConnection, wanted: object) -> Sequence[Any]:
        return (await connection.execute(sa.text("select key, data, changed_at from orders, pg_sleep(60)"))).all()

    monkeypatch.setattr(queries, "find_orders", slowly)
    await running.receives("o-1", submission())
    reads = [asyncio.create_task(running.ask("GET", "/orders")) for _ in range(12)]
    await asyncio.sleep(0.2)
    await running.receives("o-2", submission())
    assert (await running.ask("POST", "/orders/o-1/cancel", {"reason": "changed my mind"}))[0] == 202
    assert not any(read.done() for read in reads), "messages and commands do not wait for them"
    answers = await asyncio.gather(*reads)
    assert {(status, body["code"]) for status, body in answers} == {(503, "busy")}
    assert (await running.get("/orders/o-2"))["number"], "reads work again"


async def test_what_is_written_about_an_order_and_its_customer(running: Running) -> None:
    await running.receives("o-1", submission("course"), StockReserved(), captured(1000))
    await running.receives("o-2", submission("game"))
    await running.receives("o-1", CheckoutAsked(wants="cancel", text="Twice."))
    message = {"sender": "store", "text": "Sent.", "written_at": "2026-03-03T14:05:00Z", "attachments": ["d/1"]}
    assert (await running.ask("POST", "/orders/o-1/notes", {"text": "Calls often.", "about": "customer"}))[0] == 202
    assert (await running.ask("POST", "/orders/o-1/messages", message))[0] == 202
    waits = [entry for entry in (await running.get("/attention"))["attention"] if entry["what"] == "customer asks"]
    assert [(entry["reason"], entry["routine"]) for entry in waits] == [("The customer asks to cancel it", False)]
    status, _ = await running.ask("POST", "/orders/o-1/answer", {"wants": "cancel", "granted": True, "text": "Done."})
    assert status == 202

    order = await running.get("/orders/o-1")
    assert [(one["kind"], one["text"]) for one in order["written"]] == [
        *(("asked", "Twice."), ("customer_note", "Calls often.")),
        *(("message", "Sent."), ("answer", "Done.")),
    ]
    assert order["written"][2]["attachments"] == ["d/1"]
    assert (order["status"], order["notes"], order["messages"], order["asked"]) == ("cancelled", 1, 1, None)
    assert [one["kind"] for one in (await running.get("/orders/o-2"))["written"]] == ["customer_note"]


async def test_abandoned_checkouts_are_listed_with_what_was_in_them(running: Running) -> None:
    for number in range(3):
        told = {"email": f"ada{number}@example.com", "items": (CartLine(sku="course", quantity=2),)}
        await running.receives(f"o-{number}", OPENED.model_copy(update=told), CheckoutAbandoned())
    await running.receives("o-9", submission("course"), CheckoutAbandoned())

    page = await running.get("/abandoned?store=northwind&limit=2")
    assert [one["email"] for one in page["checkouts"]] == ["ada2@example.com", "ada1@example.com"]
    assert page["checkouts"][0]["items"] == [{"sku": "course", "quantity": 2, "kind": "product"}]
    rest = await running.get(f"/abandoned?limit=2&after={page['next']}")
    assert ([one["email"] for one in rest["checkouts"]], rest["next"]) == (["ada0@example.com"], None)
    assert (await running.get("/abandoned?store=maple"))["checkouts"] == []


async def test_stores_that_an_older_build_wrote_are_told_without_anybodys_doing(running: Running) -> None:
    find = UntoldStores(running.engine)
    assert await find(datetime.now(UTC)) == []
    changed = {"settings": {"payment": {"tries": 3}}}
    for older in (
        "update stores set data = data - 'revision' - 'updated_at', version = version + 1",
        "update store_changes set at = clock_timestamp()",
        "insert into restore_epoch values (1, now(), now(), now(), now())",
    ):
        assert (await running.ask("PATCH", "/stores/northwind", changed))[0] == 202
        await _execute(running, older)
        (report,) = await find(datetime.now(UTC))
        running.shell.batcher.own_log.epoch = await running.shell.store.restore_epoch()
        for _ in range(2):
            answer = await running.api.submit(report.report, report.key, identity=report.identity, actor="system")
            assert isinstance(answer, Accepted)
        assert await find(datetime.now(UTC)) == []
    while not (told := [row for row in running.sink.rows if row.topic == STATUS.name]) or len(told) < 5:
        await asyncio.sleep(0.02)
    records: Any = [decode(StoreStatusRecord, row.body) for row in told]
    assert [record.revision for record in records] == [1, 2, 1, 2, SPAN + 1]
    assert {row.key for row in told} == {"northwind"}
    assert records[-1].payment.tries == 3


async def _execute(running: Running, statement: str) -> None:
    async with running.engine.begin() as connection:
        await connection.execute(sa.text(statement))
