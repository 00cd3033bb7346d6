"""Fulfillment whole, on PostgreSQL, with a course platform and its own HTTP API; only Kafka is left out."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.app import fulfillment_service
from services.fulfillment.gateways.links import Claim, Links
from services.fulfillment.settings import FulfillmentSettings
from shared.contracts.checkout import OrderCancelled, OrderRefunded
from shared.core import MESSAGES, Message, derived_id
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.principals import Principals
from shared.shell.inbound.message import Inbound
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.conftest import NewDatabase
from tests.integration.test_shell_on_postgres import Collected, NoSource
from tests.unit.fulfillment.examples import PAID, line, placed

TOKEN = "a-token-for-this-test"
SECRET = "a-secret-for-this-test"
_ids = (derived_id(UUID(int=21), n, datetime.now(UTC)) for n in count(1))


@dataclass
class Platform:
    """Records the calls; answers with the statuses given, those to revocations apart, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    to_revocations: list[int] = field(default_factory=list)
    asked: list[bool] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        grant = (await request.json())["grant"]
        self.asked.append(grant)
        statuses = self.statuses if grant else self.to_revocations
        return web.Response(status=statuses.pop(0) if statuses else 200)


@dataclass
class Running:
    shell: Shell
    engine: AsyncEngine
    sink: Collected
    platform: Platform
    http: aiohttp.ClientSession
    base: str
    read: int = 0

    async def receive(self, key: str, *messages: Message) -> None:
        await self.shell.batcher.handle([Inbound(next(_ids), key, message) for message in messages])

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        headers = {"Idempotency-Key": str(uuid4())}
        async with self.http.request(method, path, json=body, headers=headers) as response:
            return response.status, json.loads(await response.read())

    async def send_file(self, path: str, file: bytes) -> tuple[int, Any]:
        headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "text/csv"}
        async with self.http.post(path, data=file, headers=headers) as response:
            return response.status, json.loads(await response.read())

    async def until(self, *types: str) -> list[dict[str, Any]]:
        """Wait for events of these types, in any order; commands to the service itself are delivered."""
        missing = list(types)
        bodies = []
        for _ in range(500):
            for row in self.sink.rows[self.read :]:
                self.read += 1
                kind, body = dict(json.loads(row.headers))["ce_type"], json.loads(row.body)
                if row.topic == "fulfillment.commands.v1":
                    await self.receive(row.key, MESSAGES[kind, 1].model_validate_json(row.body))
                elif kind in missing:
                    missing.remove(kind)
                    bodies.append(body)
            if not missing:
                return bodies
            await asyncio.sleep(0.02)
        raise AssertionError(f"still missing: {missing}")

    async def public(self, url: str) -> tuple[int, bytes]:
        """What a customer gets, without the bearer token."""
        path = "/downloads/" + url.rpartition("/")[2]
        async with (
            aiohttp.ClientSession(self.base) as anonymous,
            anonymous.get(path, allow_redirects=False) as response,
        ):
            return response.status, await response.read()


@pytest_asyncio.fixture
async def running(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Running]:
    async with running_with(await new_database("fulfillment"), tmp_path / "files") as found:
        yield found


@asynccontextmanager
async def running_with(url: str, folder: Path, **settings: object) -> AsyncIterator[Running]:
    """`url`: of a database with fulfillment's tables. `folder`: made, and served unless `settings` say otherwise."""
    for of_store in (folder / "acme", folder / "other"):
        of_store.mkdir(parents=True)
        (of_store / "book.pdf").write_bytes(b"the book")
    (folder / "secret.txt").write_bytes(b"not for sale")
    engine, sink, platform = create_engine(url, "test"), Collected(), Platform()
    store = PostgresStore(engine)
    await store.housekeep(datetime.now(UTC), 9)
    service = fulfillment_service(_settings(url, {"files": folder} | settings), engine)
    shell = Shell(
        service,
        "fulfillment-0",
        store=store,
        source=NoSource(),
        sink=sink,
        lock=lambda: PostgresRelayLock(url, "fulfillment-0"),
        clock=SystemClock(),
        rng=random.Random(1),
    )
    api = ShellHttpApi(shell.registry, store, shell.batcher, shell.clock, engine)
    courses = web.Application()
    courses.router.add_post("/access", platform.handle)
    api_application = application(
        shell.registry, api, shell.parking, shell.operations, shell.metrics, Principals.of_token(TOKEN), Readiness()
    )
    runners = [web.AppRunner(api_application), web.AppRunner(courses)]
    ports = [await _serve(runner) for runner in runners]
    platform.url = f"http://127.0.0.1:{ports[1]}/access"
    await shell.start()
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    base = f"http://127.0.0.1:{ports[0]}"
    async with aiohttp.ClientSession(base, headers=bearer) as http:
        yield Running(shell, engine, sink, platform, http, base)
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


def _settings(url: str, settings: dict[str, object]) -> FulfillmentSettings:
    return FulfillmentSettings.model_validate(
        {
            "kafka": {"bootstrap_servers": "127.0.0.1:1"},
            "api_token": TOKEN,
            "fulfillment": {
                "database_url": url,
                "link_secret": SECRET,
                "data_keys": SECRET * 4,
                **settings,
                "pool_recheck": timedelta(hours=1),
            },
            "webhooks_to_private_addresses": True,
        }
    )


async def open_shop(running: Running) -> None:
    products = {
        "ebook": {"action": {"kind": "download", "file": "book.pdf"}},
        "leak": {"action": {"kind": "download", "file": "../secret.txt"}},
        "theft": {"action": {"kind": "download", "file": "../other/book.pdf"}},
        "guess": {"action": {"kind": "download", "file": "other/book.pdf"}},
        "site": {"action": {"kind": "download", "file": "https://files.example/book.pdf"}},
        "key": {"action": {"kind": "code", "pool": "keys"}},
        "course": {"action": {"kind": "course", "url": running.platform.url}},
        "poster": {"action": {"kind": "shipment"}, "track_stock": True},
    }
    for sku, product in products.items():
        assert (await running.ask("PUT", f"/stores/acme/products/{sku}", product))[0] == 202
    assert (await running.ask("POST", "/stores/acme/stock/poster", {"quantity": 2}))[0] == 202


async def test_an_order_of_every_kind_is_delivered_and_then_refunded(running: Running) -> None:
    await open_shop(running)
    await running.ask("POST", "/stores/acme/pools/keys/codes", {"codes": ["AAA", "BBB"]})
    items = [line("1", "ebook"), line("2", "key"), line("3", "course"), line("4", "poster", shippable=True)]

    await running.receive("o-1", placed(*items))
    await running.until("stock.reserved")
    assert (await running.ask("GET", "/stores/acme/stock/poster"))[1] == {
        "on_hand": 2,
        "reserved": 1,
        "received": 2,
        "free": 1,
        "written_off": 0,
    }
    await running.receive("o-1", PAID)
    events = await running.until("item.waiting", *["item.delivered"] * 3)
    status, _ = await running.ask("POST", "/orders/o-1/ship", {"carrier": "DHL", "tracking": "T1"})
    assert status == 202
    await running.until("item.delivered")

    _, told = await running.ask("GET", "/orders/o-1/deliveries")
    assert {item["id"]: item["status"] for item in told["items"]} == dict.fromkeys("1234", "delivered")
    counts = {"free": 1, "taken": 1, "orders_waiting": 0, "products": 1}
    settings = {"name": "", "low_water": 0, "low_since": None}
    assert (await running.ask("GET", "/stores/acme/pools/keys"))[1] == counts | settings
    await running.ask("POST", "/stores/acme/pools/unused/codes", {"codes": ["AAA"]})
    assert (await running.ask("GET", "/stores/acme/pools/unused"))[1]["products"] == 0
    link = next(event["instructions"]["link"] for event in events if event.get("item") == "1")
    assert await running.public(link) == (200, b"the book")

    refund = OrderRefunded(refund="re_1", amount=1, currency="USD", refunded=1, whole=True)
    await running.receive("o-1", refund)
    await running.until("stock.released", *["item.revoked"] * 4)
    assert running.platform.asked == [True, False]
    status, body = await running.public(link)
    assert (status, json.loads(body)["code"]) == (410, "revoked")
    assert (await running.ask("GET", "/stores/acme/stock/poster"))[1]["free"] == 2


async def test_links_are_served_only_while_they_are_valid(running: Running) -> None:
    await open_shop(running)
    await running.receive(
        "o-1", placed(line("1", "leak"), line("2", "site"), line("3", "theft"), line("4", "guess")), PAID
    )
    events = await running.until(*["item.delivered"] * 4)
    links = {event["item"]: event["instructions"]["link"] for event in events}

    for item in ("1", "3", "4"):
        assert (await running.public(links[item]))[0] == 404, "never outside the store's folder of files"
    assert (await running.public(links["2"]))[0] == 302
    signer = Links(SECRET, "http://shop.example")
    expired = signer.url(Claim("o-1", "2", datetime.now(UTC) - timedelta(seconds=1)))
    never_delivered = signer.url(Claim("o-9", "1", datetime.now(UTC) + timedelta(hours=1)))
    assert (await running.public(expired))[0] == 410
    assert (await running.public(never_delivered))[0] == 410
    assert (await running.public(links["1"] + "x"))[0] == 404


async def test_an_order_that_waits_for_a_code_continues_when_codes_are_added(running: Running) -> None:
    await open_shop(running)
    await running.receive("o-1", placed(line("1", "key", 2)), PAID)
    (waiting,) = await running.until("item.waiting")
    assert waiting["code"] == "pool_empty"

    status, _ = await running.ask("POST", "/stores/acme/pools/keys/codes", {"codes": ["AAA", "BBB"]})
    assert status == 202
    (delivered,) = await running.until("item.delivered")

    assert delivered["instructions"]["codes"] == ["AAA", "BBB"]
    assert (await running.ask("GET", "/stores/acme/pools/keys"))[1]["orders_waiting"] == 0


async def test_a_course_that_answers_500_then_422_fails_and_is_retried_by_staff(running: Running) -> None:
    await open_shop(running)
    running.platform.statuses = [500, 422]
    await running.receive("o-1", placed(line("1", "course")), PAID)

    (failed,) = await running.until("item.failed")
    assert failed["code"] == "rejected"
    assert "answered 500" in failed["attempts"][0]["error"]
    status, _ = await running.ask("POST", "/orders/o-1/retry")
    assert status == 202
    await running.until("item.retried", "item.delivered")
    status, refused = await running.ask("POST", "/orders/o-1/retry")
    assert (status, refused["code"]) == (409, "nothing_to_retry")


async def test_orders_of_one_batch_see_each_others_reservations(running: Running) -> None:
    await open_shop(running)
    poster = placed(line("1", "poster", shippable=True))

    await running.shell.batcher.handle([Inbound(next(_ids), f"o-{number}", poster) for number in range(5)])
    await running.until(*["stock.reserved"] * 2, *["stock.refused"] * 3)
    await running.shell.batcher.handle([Inbound(next(_ids), f"o-{number}", OrderCancelled()) for number in range(5)])
    await running.until(*["stock.released"] * 2)

    async with running.engine.connect() as connection:
        row = (await connection.execute(sa.text("select on_hand, reserved, received from stock"))).one()
    assert tuple(row) == (2, 0, 2)


async def test_the_http_api_requires_a_token_and_answers_404_for_what_is_not_there(running: Running) -> None:
    async with aiohttp.ClientSession(running.base) as anonymous, anonymous.get("/stores/acme/stock/poster") as response:
        assert response.status == 401
    for path in ("/orders/o-9/deliveries", "/stores/a/stock/b", "/stores/a/pools/b", "/stores/a/products/b"):
        assert (await running.ask("GET", path))[0] == 404


async def test_a_platform_that_forbids_fails_nothing_and_the_item_says_why_it_waits(running: Running) -> None:
    await open_shop(running)
    running.platform.statuses = [403] * 1000
    await running.receive("o-1", placed(line("1", "course")), PAID)
    for _ in range(200):
        _, told = await running.ask("GET", "/orders/o-1/deliveries")
        if (told["items"][0]["waiting"] or {}).get("error"):
            break
        await asyncio.sleep(0.05)
    (item,) = told["items"]
    assert item["status"] == "in_progress"
    assert "Grant it on the platform" in item["waiting"]["error"] and item["waiting"]["attempts"] == 0

    settled = {"item": "1", "outcome": "delivered", "reason": "Enrolled by hand."}
    assert (await running.ask("POST", "/orders/o-1/settle", settled))[0] == 202
    said, delivered = await running.until("item.settled", "item.delivered")
    assert said["reason"] == "Enrolled by hand."
    assert "Enrolled" not in json.dumps(delivered) and "platform" not in json.dumps(delivered)


async def test_a_wrong_url_is_corrected_in_the_product_and_the_order_goes_on(running: Running) -> None:
    await open_shop(running)
    wrong = {"action": {"kind": "course", "url": running.platform.url.replace("/access", "/nothing")}}
    await running.ask("PUT", "/stores/acme/products/course", wrong)
    await running.receive("o-1", placed(line("1", "course")), PAID)
    for _ in range(200):
        _, told = await running.ask("GET", "/orders/o-1/deliveries")
        if (told["items"][0]["waiting"] or {}).get("error"):
            break
        await asyncio.sleep(0.05)
    assert "answered 404" in told["items"][0]["waiting"]["error"]
    assert (await running.ask("POST", "/orders/o-1/retry"))[0] == 409

    right = {"action": {"kind": "course", "url": running.platform.url}}
    await running.ask("PUT", "/stores/acme/products/course", right)
    assert (await running.ask("POST", "/orders/o-1/retry"))[0] == 409, "it keeps what was bought"
    _, preview = await running.ask("POST", "/orders/o-1/retry/preview", {"latest": True})
    assert [(item["version"], item["version_after"]) for item in preview["items"]] == [(2, 3)]
    assert (await running.ask("POST", "/orders/o-1/retry/preview"))[0] == 409
    assert (await running.ask("POST", "/orders/o-1/retry", {"latest": True}))[0] == 202
    await running.until("item.retried", "item.delivered")
    _, history = await running.ask("GET", "/stores/acme/products/course/history")
    assert [one["version"] for one in history["configurations"]] == [1, 2, 3]
    assert running.platform.asked == [True]


async def test_access_that_cannot_be_revoked_at_a_former_url_is_published_and_retried(running: Running) -> None:
    await open_shop(running)
    former = {"action": {"kind": "course", "url": running.platform.url + "?former"}}
    await running.ask("PUT", "/stores/acme/products/course", former)
    running.platform.statuses = [500] * 1000
    await running.receive("o-1", placed(line("1", "course")), PAID)
    async with asyncio.timeout(20):
        while not running.platform.asked:
            await asyncio.sleep(0.02)
    right = {"action": {"kind": "course", "url": running.platform.url}}
    await running.ask("PUT", "/stores/acme/products/course", right)
    assert (await running.ask("POST", "/orders/o-1/retry", {"latest": True}))[0] == 202
    await running.until("item.retried")

    running.platform.to_revocations = [404]
    running.platform.statuses = []
    told_of = await running.until("item.delivered", "item.revocation_failed")
    (failed,) = [body for body in told_of if "text" in body]
    assert "At the former URL" in failed["text"] and "answered 404" in failed["text"]
    _, told = await running.ask("GET", "/orders/o-1/deliveries")
    (item,) = told["items"]
    assert (item["status"], item["unrevoked"]) == ("delivered", [running.platform.url + "?former"])

    asked = len(running.platform.asked)
    assert (await running.ask("POST", "/orders/o-1/retry"))[0] == 202
    for _ in range(500):
        _, told = await running.ask("GET", "/orders/o-1/deliveries")
        if not told["items"][0]["waiting"] and len(running.platform.asked) > asked:
            break
        await asyncio.sleep(0.02)
    assert told["items"][0]["unrevoked"] == [] and told["items"][0]["status"] == "delivered"
    assert (await running.ask("POST", "/orders/o-1/retry"))[0] == 409
