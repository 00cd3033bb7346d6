"""What callers of staff's API do at checkout: both on PostgreSQL, one request going through the other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import pytest_asyncio
import sqlalchemy as sa
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.owners.client import Owners
from services.staff.owners.explanation import add_explanation
from services.staff.owners.routes import add_owner_commands
from services.staff.people.audit_log import verify
from services.staff.people.people import People
from services.staff.people.tables import audit
from services.staff.storage import orders
from shared.contracts.checkout import OrderCancelled
from shared.shell.http.assertions import Assertions, RequestHead
from shared.shell.http.principals import Principal
from shared.shell.inbound.message import Inbound, Meta
from tests.http_edges import ASSERTION_KEY, BEARER, ServiceEdge, service_edge
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import TOKEN, Browser, Staff, staff_api, staff_engine
from tests.integration.test_checkout_service import STORE
from tests.integration.test_shell_on_postgres import Collected
from tests.unit.checkout.examples import OPENED, submission

_numbers = itertools.count(1)
OWN, FOREIGN = "northwind", "other"
PERSONAL = "anna.smith@example.com"


@dataclass
class Rig:
    staff: Staff
    owners: Owners
    checkout: ServiceEdge
    direct: TestClient[Any, Any]
    """Checkout itself, as the operator."""

    async def order(self, key: str, store: str = OWN) -> None:
        """Placed, and known to both."""
        await self.receives(key, OPENED.model_copy(update={"store": store}), submission(tax=665, store=store))
        async with self.staff.engine.begin() as connection:
            await connection.execute(sa.insert(orders).values(order_id=key, store=store))

    async def receives(self, key: str, *messages: Any) -> None:
        inbound = [Inbound(uuid4(), key, each, Meta(actor="customer")) for each in messages]
        await self.checkout.shell.batcher.handle(inbound)

    async def told(self, key: str) -> list[tuple[str, str]]:
        """Actor, and type, of what checkout published."""
        sent, waiting = self.checkout.shell.sink, sa.text("select count(*) from outbox where key = :key")
        assert isinstance(sent, Collected)
        async with asyncio.timeout(20), self.checkout.engine.connect() as connection:
            while (await connection.execute(waiting, {"key": key})).scalar_one():
                await connection.rollback()
                await asyncio.sleep(0.02)
        rows = {row.id: row for row in sent.rows if row.key == key and row.topic == OrderCancelled.topic.name}
        found = [dict(orjson.loads(row.headers)) for row in rows.values()]
        return [(headers.get("ce_actor", ""), headers["ce_type"]) for headers in found]

    async def audited(self, kind: str = "command") -> list[tuple[str, str, str]]:
        """Actor, kind, subject."""
        query = sa.select(audit).where(audit.c.kind.startswith(kind)).order_by(audit.c.number)
        async with self.staff.engine.connect() as connection:
            return [(row.actor, row.kind, row.subject) for row in await connection.execute(query)]


async def cancel(
    browser: Browser, key: str, *, identity: str = "", body: object = None, **headers: str
) -> tuple[int, Any]:
    sent = {"Idempotency-Key": identity or f"key-{next(_numbers)}", **headers}
    path = f"/checkout/orders/{key}/cancel"
    response = await browser.ask("POST", path, body if body is not None else {"reason": "Twice."}, headers=sent)
    return response.status, await response.json()


@asynccontextmanager
async def running_checkout(url: str) -> AsyncIterator[tuple[ServiceEdge, TestClient[Any, Any]]]:
    checkout = service_edge("checkout", url)
    await checkout.shell.start()
    http: TestClient[Any, Any] = TestClient(TestServer(checkout.application), headers=BEARER)
    async with http:
        for store in (OWN, FOREIGN):
            answer = await http.put(f"/stores/{store}", json=STORE, headers={"Idempotency-Key": store})
            assert answer.status == 202, await answer.text()
            for sku, price in {"course": 1000, "game": 2500}.items():
                body = {"product": sku.title(), "prices": {"USD": price}}
                path, key = f"/stores/{store}/skus/{sku}", {"Idempotency-Key": store + sku}
                assert (await http.put(path, json=body, headers=key)).status == 202
        yield checkout, http
    await checkout.shell.stop(2)
    await checkout.engine.dispose()


@pytest_asyncio.fixture
async def rig(new_database: NewDatabase) -> AsyncIterator[Rig]:
    async with (
        running_checkout(await new_database("checkout")) as (checkout, direct),
        staff_engine(new_database) as engine,
    ):
        owners = Owners({"checkout": f"http://127.0.0.1:{direct.port}"}, Assertions((ASSERTION_KEY,)))

        def further(application: web.Application, people: People) -> None:
            api: Any = Api(engine)
            add_explanation(application, api, owners)
            add_owner_commands(application, api, owners, people.writes)

        async with staff_api(engine, further=further) as staff:
            yield Rig(staff, owners, checkout, direct)
        await owners.close()


@dataclass
class Api:
    """As the routes use it."""

    engine: AsyncEngine


async def test_a_user_does_it_at_the_owner_under_their_own_name(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    with structlog.testing.capture_logs() as logs:
        status, body = await cancel(anna, "o-1", body={"reason": f"Asked by {PERSONAL}."})
    assert status == 202 and body["accepted"] and not body["duplicate"]
    assert ("user:id-anna", "order.cancelled") in await rig.told("o-1")
    assert await rig.audited() == [("user:id-anna", "command.sent", "o-1")]
    async with rig.staff.engine.connect() as connection:
        entries = (await connection.execute(sa.select(audit))).all()
    assert PERSONAL not in repr(entries) and PERSONAL not in repr(logs)
    assert (await verify(rig.staff.engine)).problems == []


async def test_a_repetition_has_no_further_effect(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    first, again = [await cancel(anna, "o-1", identity="same") for _ in range(2)]
    assert (first[0], again[0]) == (202, 202)
    assert again[1] == first[1] | {"duplicate": True}
    other = await cancel(anna, "o-1", identity="same", body={"reason": "Another."})
    assert (other[0], other[1]["code"]) == (422, "idempotency_key_reused")


async def test_the_owners_refusal_comes_back_as_it_is(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    assert (await cancel(anna, "o-1"))[0] == 202
    status, body = await cancel(anna, "o-1")
    invalid = await cancel(anna, "o-1", body={"reason": 7})
    assert invalid[0] == 400 and invalid[1]["problems"][0]["field"] == "reason"
    assert [kind for _, kind, _ in await rig.audited()] == [
        *("command.sent", "command.sent", "command.refused", "command.sent", "command.refused")
    ]
    direct = await rig.direct.post("/orders/o-1/cancel", json={"reason": "Twice."}, headers={"Idempotency-Key": "x"})
    assert (status, body) == (direct.status, await direct.json())
    assert direct.status == 409 and direct.content_type == "application/problem+json"


async def test_an_order_of_another_store_is_none(rig: Rig) -> None:
    await rig.order("o-1")
    await rig.order("o-2", FOREIGN)
    anna = await rig.staff.signed_in("anna", ("agent", OWN), ("viewer", FOREIGN))
    assert (await cancel(anna, "o-2"))[0] == 404
    viewer = await rig.staff.signed_in("viewer", ("viewer", OWN))
    assert (await cancel(viewer, "o-1"))[0] == 403
    assert await rig.audited() == []
    root = await rig.staff.signed_in("root", ("admin", "*"))
    assert (await cancel(root, "o-2"))[0] == 202


async def test_the_owner_checks_store_and_permission_itself(rig: Rig) -> None:
    """Whatever staff thinks of the order's store."""
    await rig.order("o-2", FOREIGN)
    head = RequestHead("POST", "/orders/o-2/cancel", "application/json", "k")
    for caller, status in (
        (Principal("user:anna", ("order.*",), frozenset({OWN})), 404),
        (Principal("user:anna", ("order.read",), frozenset({FOREIGN})), 403),
        (Principal("user:anna", ("order.cancel",), frozenset({FOREIGN})), 202),
    ):
        answer = await rig.owners.send(caller, "checkout", head, b'{"reason": "Twice."}')
        assert answer.status == status, caller


async def test_another_site_cannot_send_with_a_users_cookie(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    assert anna.cookie
    status, body = await cancel(anna, "o-1", **{"Sec-Fetch-Site": "cross-site"})
    assert (status, body["code"]) == (403, "cross_site")
    assert await rig.audited() == [] and ("user:id-anna", "order.cancelled") not in await rig.told("o-1")


async def test_a_token_permits_what_it_says(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    for permission, status in (("order.note", 403), ("order.*", 202)):
        made = await anna.json("POST", "/tokens", {"name": "t", "permissions": [permission], "stores": [OWN]}, 201)
        assert (await cancel(rig.staff.browser(made["token"]), "o-1"))[0] == status
    assert (await cancel(rig.staff.browser(TOKEN), "o-1"))[0] == 409
    assert (await cancel(rig.staff.browser("unknown"), "o-1"))[0] == 401
    assert [actor for actor, _, _ in await rig.audited()] == ["user:id-anna", "staff", "staff"]


async def test_an_owner_that_is_away_loses_nothing(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    there = rig.owners.urls["checkout"]
    rig.owners.urls["checkout"] = "http://127.0.0.1:9"
    status, body = await cancel(anna, "o-1", identity="same")
    assert (status, body["code"]) == (503, "unreachable")
    rig.owners.urls["checkout"] = there
    assert (await cancel(anna, "o-1", identity="same"))[0] == 202
    again = await cancel(anna, "o-1", identity="same")
    assert again[0] == 202 and again[1]["duplicate"]
    assert [what for actor, what in await rig.told("o-1") if actor == "user:id-anna"] == ["order.cancelled"]


async def test_a_request_without_its_idempotency_key_is_refused_here(rig: Rig) -> None:
    await rig.order("o-1")
    anna = await rig.staff.signed_in("anna", ("agent", OWN))
    response = await anna.ask("POST", "/checkout/orders/o-1/cancel", {})
    assert response.status == 400 and "Idempotency-Key" in (await response.json())["title"]
    assert await rig.audited() == []


async def test_what_is_no_id_is_in_no_entry(rig: Rig) -> None:
    root = await rig.staff.signed_in("root", ("admin", "*"))
    status, _ = await cancel(root, PERSONAL)
    assert status in (404, 409)
    assert PERSONAL not in repr(await rig.audited())


async def test_an_order_explains_itself_to_those_who_may_read_it(rig: Rig) -> None:
    await rig.order("o-1")
    await rig.order("o-2", FOREIGN)
    anna = await rig.staff.signed_in("anna", ("viewer", OWN))
    rig.owners.urls["payments"] = "http://127.0.0.1:9"
    found = await anna.json("GET", "/orders/o-1/explain")
    assert (found["order_id"], found["state"], found["missing"]) == ("o-1", "pending_payment", ["payments"])
    assert [(each["service"], each["who"]) for each in found["waits"]] == [("checkout", "fulfillment")]
    commands = {each["command"]: (each["possible"], each["permitted"]) for each in found["commands"]}
    assert commands["order.cancel"] == (True, False) and commands["order.accept"] == (False, False)
    assert [each["type"] for each in found["services"][0]["timers"]] != []
    assert (await anna.ask("GET", "/orders/o-2/explain")).status == 404
    assert (await anna.ask("GET", "/orders/unknown/explain")).status == 404
    agent = await rig.staff.signed_in("agent", ("agent", OWN))
    commands = {
        each["command"]: each["permitted"] for each in (await agent.json("GET", "/orders/o-1/explain"))["commands"]
    }
    assert commands["order.cancel"]
    assert await rig.audited() == []


async def test_without_any_owner_all_are_missing(rig: Rig) -> None:
    await rig.order("o-1")
    rig.owners.urls.update(dict.fromkeys(("checkout", "payments"), None))
    anna = await rig.staff.signed_in("anna", ("viewer", OWN))
    found = await anna.json("GET", "/orders/o-1/explain")
    assert (found["state"], found["waits"], found["missing"]) == (None, [], ["checkout", "payments"])
