"""Reports over made-up orders: the same figures as a sum over all orders in plain Python, for any period, zone and
stores."""

from __future__ import annotations

import csv
import hashlib
import io
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.staff.domain.report import Period
from services.staff.reports import add_reports
from services.staff.storage import read_models
from services.staff.sums_zones import adopt_zones
from shared.api_clients import ApiClientSettings
from shared.shell.http.principals import Principals
from shared.shell.http.web import protection
from shared.shell.ports.http_api import HttpApi
from shared.shell.postgres.day_sums import wrong_sums
from shared.shell.postgres.engine import create_engine
from tests.benchmarks.staff_orders import NOW, STORES, MadeOrder, made_orders, write_orders
from tests.integration.conftest import Databases

ORDERS = list(made_orders(1500, 3))
ZONES = {"main": "America/St_Johns", "game": "Pacific/Kiritimati", "course": "UTC"}
CLIENTS = {"all": (("*",), ("report.read",)), "game": (("game",), ("report.read",)), "none": (("*",), ("order.read",))}
FIRST, LAST = date(2026, 6, 1), date(2026, 9, 30)


class Rig(NamedTuple):
    client: TestClient[web.Request, web.Application]
    engine: AsyncEngine

    async def ask(self, path: str, who: str = "all", **query: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {who}"}
        async with self.client.get(f"/api/v1/reports/{path}", params=query, headers=headers) as response:
            return response.status, await response.json()


@pytest_asyncio.fixture(scope="module")
async def rig(databases: Databases) -> AsyncIterator[Rig]:
    """One database for all tests: they change nothing but a zone."""
    url = await databases.make("staff")
    connection = await asyncpg.connect(url)
    await write_orders(connection, iter(ORDERS))
    for store, zone in ZONES.items():
        await connection.execute("insert into stores values ($1, 1, $2)", store, zone)
    await connection.close()
    engine = create_engine(url, "test")
    await adopt_zones(engine, NOW)
    known = Principals(
        ApiClientSettings(
            name=name,
            token_sha256=(hashlib.sha256(name.encode()).hexdigest(),),
            stores=stores,
            permissions=permissions,
        )
        for name, (stores, permissions) in CLIENTS.items()
    )
    application = web.Application(middlewares=[protection(known)])
    add_reports(application, cast(HttpApi, SimpleNamespace(engine=engine)))
    async with TestClient(TestServer(application)) as client:
        yield Rig(client, engine)
    await engine.dispose()
    await databases.drop(url)


def day_of(made: MadeOrder, at: datetime | None) -> date | None:
    return at.astimezone(ZoneInfo(ZONES[made.order["store"]])).date() if at else None


def in_period(period: Period, column: str) -> Iterator[MadeOrder]:
    for made in ORDERS:
        day = day_of(made, made.order[column])
        if day and period.first <= day <= period.last:
            yield made


def series_of(reply: Mapping[str, Any], figure: str) -> Mapping[str, Any]:
    (found,) = [each for each in reply["series"] if each["figure"] == figure]
    return cast(Mapping[str, Any], found)


@pytest.mark.parametrize("seed", range(20))
async def test_sales_over_time_are_those_of_all_orders_in_each_stores_zone(rig: Rig, seed: int) -> None:
    rng = random.Random(seed)
    first = FIRST + timedelta(days=rng.randrange(60))
    period = Period(first, first + timedelta(days=rng.randrange(6, 60)))
    interval = rng.choice(("day", "week", "month"))
    status, reply = await rig.ask("sales", **{"from": str(period.first), "to": str(period.last), "interval": interval})

    assert status == 200
    assert reply["stores"] == [{"store": store, "time_zone": ZONES[store]} for store in sorted(STORES)]
    for own, values, total in ((period, "values", "total"), (period.before(), "before", "total_before")):
        labels = own.labels(cast(Any, interval))
        for figure, column, amount in (("placed", "placed_at", None), ("sales", "paid_at", "total")):
            expected: Counter[date] = Counter()
            for made in in_period(own, column):
                label = max(label for label in labels if label <= cast(date, day_of(made, made.order[column])))
                expected[label] += made.order[amount] if amount else 1
            found = series_of(reply, figure)
            assert found[values] == [expected[label] for label in labels], (figure, own)
            assert found[total] == expected.total()
    assert (series_of(reply, "sales")["currency"], series_of(reply, "sales")["exponent"]) == ("EUR", 2)


BY: dict[tuple[str, str], tuple[str, Callable[[MadeOrder], list[tuple[str, int]]]]] = {
    ("country", "paid"): ("paid_at", lambda made: [(made.order["country"] or "", 1)]),
    ("source", "sales"): ("paid_at", lambda made: [(made.order["source"], made.order["total"])]),
    ("offer", "refunded"): ("paid_at", lambda made: [("", made.order["refunded"])]),
    ("product", "units"): ("paid_at", lambda made: [(each["sku"], 1) for each in made.parts["order_items"]]),
    ("product", "sales"): (
        "paid_at",
        lambda made: [(each["sku"], each["purchased"]) for each in made.parts["order_items"]],
    ),
    ("provider", "captured"): (
        "placed_at",
        lambda made: [
            (each["provider"], each["amount"])
            for each in made.parts["transactions"]
            if each["kind"] == "charge" and each["status"] == "captured"
        ],
    ),
}


@pytest.mark.parametrize(("by", "figure"), BY)
async def test_sales_by_value_add_up_to_those_of_all_orders(rig: Rig, by: str, figure: str) -> None:
    column, values_of = BY[by, figure]
    period = Period(FIRST, LAST)
    query = {"from": str(FIRST), "to": str(LAST), "by": by, "limit": "1000", "store": "main"}
    status, reply = await rig.ask("sales", **query)

    assert status == 200 and not reply["more"]
    found = series_of(reply, figure)
    for own, values, total in ((period, "values", "total"), (period.before(), "before", "total_before")):
        expected: Counter[str] = Counter()
        for made in in_period(own, column):
            if made.order["store"] == "main":
                for value, number in values_of(made):
                    expected[value] += number
        shown = zip((label["value"] for label in reply["labels"]), found[values], strict=True)
        assert {value: number for value, number in shown if number} == {v: n for v, n in expected.items() if n}
        assert found[total] == expected.total()
    if by == "product":
        assert {label["text"][:2] for label in reply["labels"]} == {"p-"}
    few = (await rig.ask("sales", **query | {"limit": "1"}))[1]
    assert (few["more"], few["labels"]) == (len(reply["labels"]) > 1, reply["labels"][:1])
    assert series_of(few, figure)["total"] == found["total"]


async def test_the_other_reports(rig: Rig) -> None:
    query = {"from": str(FIRST), "to": str(LAST)}
    period = Period(FIRST, LAST)
    paid = list(in_period(period, "paid_at"))
    completed = [made for made in paid if made.order["completed_at"]]
    reply = (await rig.ask("completion", **query))[1]
    assert series_of(reply, "paid")["total"] == len(paid)
    rate = series_of(reply, "completion_rate")
    assert (rate["unit"], rate["total"]) == ("basis_points", round(len(completed) * 10_000 / len(paid)))
    refunds = [
        each
        for made in ORDERS
        for each in made.parts["transactions"]
        if each["kind"] == "refund" and FIRST <= cast(date, day_of(made, each["at"])) <= LAST
    ]
    reply = (await rig.ask("refunds", **query, by="kind"))[1]
    assert [label["value"] for label in reply["labels"]] == ["provider"]
    assert series_of(reply, "refunds")["values"] == [len(refunds)]
    assert series_of(reply, "refunded")["total"] == sum(each["amount"] for each in refunds)
    failed = [
        made
        for made in ORDERS
        for each in made.parts["executions"]
        if each["status"] == "failed" and FIRST <= cast(date, day_of(made, each["updated_at"])) <= LAST
    ]
    reply = (await rig.ask("deliveries", **query, by="reason"))[1]
    assert [label["value"] for label in reply["labels"]] == (["download/rejected"] if failed else [])
    assert series_of(reply, "failures")["total"] == len(failed)
    reply = (await rig.ask("disputes", **query))[1]
    assert series_of(reply, "paid")["total"] == len(paid)


async def test_a_report_is_of_the_callers_stores(rig: Rig) -> None:
    status, reply = await rig.ask("sales", "game", **{"from": str(FIRST), "to": str(LAST)})
    own = [made for made in in_period(Period(FIRST, LAST), "paid_at") if made.order["store"] == "game"]
    assert (status, [each["store"] for each in reply["stores"]]) == (200, ["game"])
    assert series_of(reply, "paid")["total"] == len(own)
    assert (await rig.ask("sales", "game", store="main"))[0] == 403
    assert (await rig.ask("sales", "none"))[0] == 403
    status, reply = await rig.ask("sales", store="elsewhere")
    assert (status, reply["stores"], series_of(reply, "paid")["total"]) == (200, [], 0)


async def test_all_that_is_wrong_is_named_at_once(rig: Rig) -> None:
    status, reply = await rig.ask(
        "sales",
        **{"from": "2026-1-1", "to": "1700000000", "by": "shoe", "limit": "0", "currency": "XXX", "zone": "UTC"},
    )
    assert status == 400
    assert {problem["field"] for problem in reply["problems"]} == {"from", "to", "by", "limit", "currency.0", "zone"}
    status, reply = await rig.ask(
        "sales", **{"from": "2026-02-01", "to": "2026-01-01", "by": "country", "interval": "day"}
    )
    assert (status, {problem["field"] for problem in reply["problems"]}) == (400, {"to", "interval"})
    status, reply = await rig.ask("sales", **{"from": "1990-02-01", "to": "2026-01-01"})
    assert (status, [problem["field"] for problem in reply["problems"]]) == (400, ["to"])
    for way in ({"from": "9000-12-31"}, {"to": "1970-01-01"}, {"from": "1970-01-01"}):
        assert (await rig.ask("sales", **way))[0] == 200, way


async def test_an_answer_is_not_sent_again_to_who_has_it(rig: Rig) -> None:
    for form in ("json", "csv"):
        url = f"/api/v1/reports/sales?from={FIRST}&to={LAST}&format={form}"
        headers = {"Authorization": "Bearer all"}
        async with rig.client.get(url, headers=headers) as response:
            tag = response.headers["ETag"]
        async with rig.client.get(url, headers=headers | {"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")


async def test_a_report_as_csv(rig: Rig) -> None:
    query = {"from": str(FIRST), "to": str(FIRST), "by": "country", "store": "main"}
    reply = (await rig.ask("sales", **query))[1]
    headers = {"Authorization": "Bearer all"}
    async with rig.client.get("/api/v1/reports/sales", params=query | {"format": "csv"}, headers=headers) as response:
        assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
        name = "sales-by-country-2026-06-01-2026-06-01-America_St_Johns.csv"
        assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        lines = list(csv.DictReader(io.StringIO((await response.read()).decode("utf-8-sig"))))
    assert [line["country"] for line in lines[:-1]] == [label["value"] for label in reply["labels"]]
    assert [int(line["paid"]) for line in lines[:-1]] == series_of(reply, "paid")["values"]
    sales = series_of(reply, "sales")
    assert lines[-1]["sales EUR"] == f"{sales['total'] // 100}.{sales['total'] % 100:02}"


async def test_a_changed_zone_is_adopted_and_one_that_the_database_does_not_know_is_not(rig: Rig) -> None:
    async def set_zone(zone: str | None) -> None:
        async with rig.engine.begin() as connection:
            update = sa.text("update stores set time_zone = :zone where store = 'course'")
            await connection.execute(update, {"zone": zone})
        await adopt_zones(rig.engine, NOW)

    async def zone_now() -> tuple[str, list[str]]:
        async with rig.engine.connect() as connection:
            wrong = await wrong_sums(connection, read_models)
        reply = (await rig.ask("sales", store="course"))[1]
        return reply["stores"][0]["time_zone"], wrong

    await set_zone("Asia/Kathmandu")
    assert await zone_now() == ("Asia/Kathmandu", [])
    await set_zone("Atlantis/Capital")
    assert await zone_now() == ("Asia/Kathmandu", [])
    await set_zone(None)
    assert await zone_now() == ("UTC", [])
