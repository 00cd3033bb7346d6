"""A customer's data by staff's API: handed out as one answer, and erased at checkout; both on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
import sqlalchemy as sa
import structlog
from aiohttp import web

from services.checkout.domain.order import Order
from services.checkout.storage import ERASED, correspondence
from services.checkout.storage import orders as checkout_orders
from services.staff.customer_data import add_customer_data
from services.staff.owners.client import Owners
from services.staff.people.audit_log import verify
from services.staff.people.people import People
from services.staff.people.tables import audit
from services.staff.storage import orders, saved_views
from shared.contracts.checkout import CancelOrder
from shared.contracts.order_work import NoteOrder
from shared.core import codec
from shared.shell.http.assertions import Assertions
from shared.shell.postgres.erasure import Erasing
from shared.shell.postgres.tables import read_state
from tests.http_edges import ASSERTION_KEY
from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import Browser, staff_api, staff_engine
from tests.integration.test_erasure import WEEK, columns_of, insert_marked
from tests.integration.test_owner_commands import FOREIGN, OWN, Api, Rig, running_checkout
from tests.unit.checkout.examples import ADA

EMAIL = "Ada@Example.com"


@pytest_asyncio.fixture
async def rig(new_database: NewDatabase) -> AsyncIterator[Rig]:
    async with (
        running_checkout(await new_database("checkout")) as (checkout, direct),
        staff_engine(new_database) as engine,
    ):
        owners = Owners({"checkout": f"http://127.0.0.1:{direct.port}"}, Assertions((ASSERTION_KEY,)))

        def further(application: web.Application, people: People) -> None:
            api: Any = Api(engine)
            add_customer_data(application, api, owners, people.writes)

        async with staff_api(engine, further=further) as staff:
            yield Rig(staff, owners, checkout, direct)
        await owners.close()


async def bought(rig: Rig, key: str, *, cancelled: bool = True, store: str = OWN) -> None:
    await rig.order(key, store)
    await rig.receives(key, NoteOrder(text=f"{ADA.name} called."))
    if cancelled:
        await rig.receives(key, CancelOrder())
    async with rig.staff.engine.begin() as connection:
        values = {"email": EMAIL.lower(), "number": f"ORD-{key}"}
        await connection.execute(sa.update(orders).where(orders.c.order_id == key).values(values))


async def ask(browser: Browser, what: str, store: str = OWN, email: str = EMAIL) -> tuple[int, Any]:
    path, headers = f"/stores/{store}/customers/{what}", {"Idempotency-Key": f"{what}-1"}
    response = await browser.ask("POST", path, {"email": email}, headers=headers)
    return response.status, await response.json()


async def state_of(rig: Rig, key: str) -> Order:
    query = sa.select(sa.cast(checkout_orders.c.data, sa.Text)).where(checkout_orders.c.key == key)
    async with rig.checkout.engine.connect() as connection:
        return read_state(Order, (await connection.execute(query)).scalar_one())


async def written_about(rig: Rig) -> list[str]:
    async with rig.checkout.engine.connect() as connection:
        return [*(await connection.execute(sa.select(correspondence.c.key).order_by(correspondence.c.key))).scalars()]


async def test_what_has_ended_is_erased_and_the_rest_says_why_not(rig: Rig) -> None:
    await bought(rig, "o-1")
    await bought(rig, "o-2", cancelled=False)
    await bought(rig, "o-3", store=FOREIGN)
    root = await rig.staff.signed_in("root", ("admin", "*"))
    with structlog.testing.capture_logs() as logs:
        status, body = await ask(root, "erase")

    assert status == 200, body
    assert [(it["order_id"], it["state"], it["code"]) for it in body["orders"]] == [
        ("o-1", "done", ""),
        ("o-2", "refused", "under_way"),
    ]
    assert body["next"] is None
    erased, other, foreign = [await state_of(rig, key) for key in ("o-1", "o-2", "o-3")]
    assert erased.erased_at and ADA.name not in codec.dump(erased).decode()
    assert erased.purchased == other.purchased > 0
    assert other.customer and foreign.customer
    assert await rig.audited("customer") == [
        ("user:id-root", "customer.erase", "o-1"),
        ("user:id-root", "customer.erase", "o-2"),
        ("user:id-root", "customer.erase_refused", "o-2"),
    ]
    async with rig.staff.engine.connect() as connection:
        entries = (await connection.execute(sa.select(audit))).all()
    assert EMAIL.lower() not in f"{entries!r} {logs!r}".lower()
    assert (await verify(rig.staff.engine)).problems == []

    assert await written_about(rig) == ["o-1", "o-2", "o-3"]
    await Erasing(rig.checkout.engine, ERASED, WEEK).erase_new()
    assert await written_about(rig) == ["o-2", "o-3"]


async def test_money_that_is_owed_refuses_it_before_it_is_sent(rig: Rig) -> None:
    await bought(rig, "o-1")
    async with rig.staff.engine.begin() as connection:
        await connection.execute(sa.update(orders).values(owed=500))
    root = await rig.staff.signed_in("root", ("admin", "*"))
    _, body = await ask(root, "erase")
    assert [(it["state"], it["code"]) for it in body["orders"]] == [("refused", "money_owed")]
    assert (await state_of(rig, "o-1")).erased_at is None


async def test_what_is_parked_of_the_order_is_settled_first(rig: Rig) -> None:
    await bought(rig, "o-1")
    async with rig.checkout.engine.begin() as connection:
        columns = (await columns_of(connection))["parked"]
        await insert_marked(connection, "parked", columns, "o-1")
    root = await rig.staff.signed_in("root", ("admin", "*"))
    _, body = await ask(root, "erase")
    assert [(it["state"], it["code"]) for it in body["orders"]] == [("unknown", "held_up")]
    await Erasing(rig.checkout.engine, ERASED, WEEK).erase_new()
    assert (await state_of(rig, "o-1")).erased_at is None
    async with rig.checkout.engine.begin() as connection:
        assert (await connection.execute(sa.text("delete from parked"))).rowcount == 1
    assert [it["state"] for it in (await ask(root, "erase"))[1]["orders"]] == ["done"]


async def test_it_needs_a_permission_of_its_own(rig: Rig) -> None:
    await bought(rig, "o-1")
    manager = await rig.staff.signed_in("max", ("manager", OWN))
    for what in ("export", "erase"):
        assert (await ask(manager, what))[0] == 403
    assert await rig.audited("customer") == []


async def test_all_that_is_known_is_handed_out(rig: Rig) -> None:
    await bought(rig, "o-1")
    root = await rig.staff.signed_in("root", ("admin", "*"))
    status, body = await ask(root, "export")
    assert status == 200, body
    (order,) = body["orders"]
    assert order["order"]["customer"]["name"] == ADA.name
    assert [note["text"] for note in order["order"]["written"]] == [f"{ADA.name} called."]
    assert body["missing"] == ["fulfillment", "notifications", "payments"], "they are not there"
    assert await rig.audited("customer") == [("user:id-root", "customer.exported", "o-1")]


async def test_what_staff_searched_for_is_forgotten(rig: Rig) -> None:
    await bought(rig, "o-1")
    async with rig.staff.engine.begin() as connection:
        for key, search in ((f"{OWN}/a", EMAIL), (f"{OWN}/b", "paid"), (f"{FOREIGN}/a", EMAIL)):
            row = {"key": key, "version": 1, "sequence": 0, "changed_at": sa.func.now()}
            await connection.execute(sa.insert(saved_views).values(**row, data={"search": search, "filters": []}))
    root = await rig.staff.signed_in("root", ("admin", "*"))
    assert (await ask(root, "erase"))[0] == 200
    async with rig.staff.engine.connect() as connection:
        rows = (await connection.execute(sa.select(saved_views.c.key, saved_views.c.data))).all()
    assert {row.key: row.data["search"] for row in rows} == {
        f"{OWN}/a": "",
        f"{OWN}/b": "paid",
        f"{FOREIGN}/a": EMAIL,
    }
