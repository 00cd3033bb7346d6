"""How fast staff's lists are: `python -m tests.benchmarks.staff_lists --orders 1000000`.

Fills the read models of a PostgreSQL of its own with made-up orders, then asks `GET /api/v1/orders` for random
combinations of filters, searches and orders, deep pages included, and prints the times of each class of query: from the
request to its answer, HTTP left out.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from services.staff.cursors import Place
from services.staff.domain.order_filter import OrderFilter, search_text
from services.staff.order_columns import FIELDS, listed_orders
from services.staff.order_query import SORT_NAMES, OrderQuery, page_of, search_of
from services.staff.search_text import folded
from shared.contracts.values import OrderStatus
from shared.shell.postgres import migration
from shared.shell.postgres.engine import create_read_engine
from tests.benchmarks.staff_orders import (
    CODES,
    COUNTRIES,
    DAYS,
    FIRST,
    HOSTS,
    LAST,
    NOW,
    SOURCES,
    STORE_WEIGHTS,
    STORES,
    TAGS,
    made_orders,
    write_orders,
)

PAGE = 50
TARGET = 50.0
"""Milliseconds that 95 of 100 queries may take."""
Chosen = tuple[dict[str, list[str]], dict[str, bool], tuple[int, int] | None, str]
"""Filters, flags, a period in days before now, and what is searched for."""


def _tab(rng: random.Random) -> Chosen:
    return {"status": [rng.choice(list(OrderStatus)).value]}, {}, None, ""


def _facets(rng: random.Random) -> Chosen:
    options: dict[str, Sequence[str]] = {
        "status": [status.value for status in OrderStatus],
        "payment_status": ("paid", "pending", "refunded", "partially_refunded", "disputed", "failed"),
        "country": COUNTRIES,
        "source": SOURCES,
        "tag": TAGS,
        "discount": CODES,
        "item": [f"SKU-{int(rng.random() ** 3 * 2000)}" for _ in range(3)],
        "provider": ("stripe", "manual"),
        "method": ("card", "paypal", "bank_transfer"),
    }
    names = rng.sample(sorted(options), rng.choice((1, 2, 2, 3)))
    chosen = {name: rng.sample(list(options[name]), rng.choice((1, 1, 2))) for name in names}
    flags = {rng.choice(("held", "owed", "lost_webhooks")): True} if rng.random() < 0.1 else {}
    return chosen, flags, None, ""


def _period(rng: random.Random) -> tuple[int, int]:
    days = rng.choice((1, 7, 30, 90, 365))
    last = rng.randrange(DAYS - days)
    return last + days, last


def _search(rng: random.Random) -> str:
    """As people type: a piece of a name, an address, a number, or one of the words of both."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    texts = (
        *(last[:4], first, f"{first} {last}", last.lower(), f"{last[:5].lower()}.{rng.randrange(300)}"),
        *(f"{folded(first)}.{folded(last)}", rng.choice(HOSTS), f"{rng.getrandbits(20):05x}", "pi_", "com"),
        *("".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=k)) for k in (3, 4, 5)),
    )
    return rng.choice(texts)


CLASSES: dict[str, Callable[[random.Random], Chosen]] = {
    "everything": lambda rng: ({}, {}, None, ""),
    "tab": _tab,
    "facets": _facets,
    "period": lambda rng: ({}, {}, _period(rng), ""),
    "period and facets": lambda rng: (*_facets(rng)[:2], _period(rng), ""),
    "search": lambda rng: ({}, {}, None, _search(rng)),
    "search of one or two characters": lambda rng: ({}, {}, None, rng.choice(FIRST)[: rng.choice((1, 2))]),
    "search and tab": lambda rng: (*_tab(rng)[:3], _search(rng)),
    "search and facets": lambda rng: (*_facets(rng)[:3], _search(rng)),
}
WHOLE = "whole number, address or transaction"


class Lists:
    """Queries of random users of one store, or of all."""

    def __init__(self, engine: AsyncEngine, rng: random.Random, wholes: Sequence[str]) -> None:
        self._engine, self._rng, self._wholes = engine, rng, wholes
        self.times: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)
        self.slowest: dict[str, tuple[float, str]] = {}

    async def walk(self, name: str, pages: int) -> None:
        """The first page, and the pages after it; now and then from somewhere deep in the list."""
        rng = self._rng
        if name == WHOLE:
            chosen: Chosen = ({}, {}, None, rng.choice(self._wholes))
        else:
            chosen = CLASSES[name](rng)
        filters, flags, period, typed = chosen
        stores = list(STORES) if rng.random() < 0.3 else rng.choices(STORES, STORE_WEIGHTS)
        sort, descending = rng.choice(SORT_NAMES), rng.random() < 0.7
        days = [NOW - timedelta(days=day) for day in period] if period else [None, None]
        wanted = OrderFilter.of(filters, flags, *days)
        after = await self._deep(sort) if rng.random() < 0.3 else None
        for _ in range(pages):
            async with self._engine.connect() as connection:
                server = (await connection.exec_driver_sql("select pg_backend_pid()")).scalar_one()
            began, used = time.perf_counter(), cpu_seconds(server)
            async with self._engine.connect() as connection:
                text = search_text(typed, folded(typed))
                search = await search_of(connection, stores, text) if typed else None
                query = OrderQuery(stores, len(stores) == len(STORES), wanted, search, sort, descending)
                places = await self._page(connection, query, after)
            took = (time.perf_counter() - began) * 1000
            self.times[name].append(took)
            self.cpu[name].append((cpu_seconds(server) - used) * 1000)
            if (spent := self.cpu[name][-1]) > self.slowest.get(name, (0.0, ""))[0]:
                self.slowest[name] = spent, f"{filters} {flags} {period} {typed!r} {stores} {sort} {descending} {after}"
            if len(places) <= PAGE:
                return
            after = places[PAGE - 1]

    async def _page(self, connection: AsyncConnection, query: OrderQuery, after: Place | None) -> list[Place]:
        places = await page_of(connection, query, after, PAGE + 1)
        await listed_orders(connection, [str(place[-1]) for place in places[:PAGE]], FIELDS)
        return places

    async def _deep(self, sort: str) -> Place:
        """The place of some order."""
        key = f"o-{self._rng.randrange(len(self._wholes) * 100):09}"
        columns = {"date": "coalesce(placed_at, created_at)", "updated": "updated_at"}.get(sort, sort)
        columns = "payment_status, coalesce(placed_at, created_at)" if sort == "payment_status" else columns
        async with self._engine.connect() as connection:
            statement = f"select {columns}, order_id from orders where order_id = '{key}'"
            row = (await connection.exec_driver_sql(statement)).one_or_none()
        return tuple(row) if row else await self._deep(sort)


def cpu_seconds(server: int) -> float:
    """That this process and the server's process of the connection have used: what else runs on the machine makes
    queries take longer, but not use more."""
    return time.process_time() + int(Path(f"/proc/{server}/schedstat").read_text().split()[0]) / 1e9


def report(times: dict[str, list[float]], cpu: dict[str, list[float]], target: float = TARGET) -> str:
    heads = "".join(f"{head:>9}" for head in ("queries", "p50", "p95", "max", "CPU p50", "p95", "max"))
    lines = [f"{'milliseconds':36}{heads}"]
    for name, found in times.items():
        figures = [*_figures(found), *_figures(cpu[name])]
        mark = "" if figures[1] <= target else "  *"
        lines.append(f"{name:36}{len(found):9}{''.join(f'{figure:9.1f}' for figure in figures)}{mark}")
    return "\n".join([*lines, f"*: p95 above {target:.0f} ms"])


def _figures(found: Sequence[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return cuts[49], cuts[94], max(found)


async def measured(url: str, orders: int, walks: int, seed: int, *, slowest: bool) -> None:
    rng = random.Random(seed)
    connection = await asyncpg.connect(url)
    sample = "(select {} from {} where order_id = any($1::text[]) and {} is not null)"
    keys = [f"o-{rng.randrange(orders):09}" for _ in range(max(orders // 100, 20))]
    wholes: list[str] = []
    for column, table in (("number", "orders"), ("email", "orders"), ("reference", "transactions")):
        rows = await connection.fetch(sample.format(column, table, column), keys)
        wholes += [row[0] for row in rows][: len(keys) // 3]
    await connection.close()
    engine = create_read_engine(url, "benchmark", pool=1)
    lists = Lists(engine, rng, wholes)
    for _ in range(5):
        await lists.walk("everything", 1)
    lists.times.clear()
    lists.cpu.clear()
    for _ in range(walks):
        for name in (*CLASSES, WHOLE):
            await lists.walk(name, 3)
    await engine.dispose()
    print(report(lists.times, lists.cpu))
    if slowest:
        for name, (took, what) in lists.slowest.items():
            print(f"{took:8.1f}  {name}: {what}")


async def run(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="orderbus-staff-lists-") as temporary:
        folder = Path(given.folder or temporary)
        is_filled = (folder / "filled").exists()
        async with Children() as children:
            port = choose(["postgres"])["postgres"]
            server = Postgres(folder / "data", folder, port, "benchmark", children, databases=("staff",))
            await server.start()
            url = server.url("staff")
            if not is_filled:
                await asyncio.to_thread(migration.migrate, "staff", url)
                began = time.perf_counter()
                connection = await asyncpg.connect(url)
                await write_orders(connection, made_orders(given.orders))
                await connection.close()
                print(f"{given.orders} orders made and written in {time.perf_counter() - began:.0f} s")
                (folder / "filled").touch()
            await measured(url, given.orders, given.walks, given.seed, slowest=given.slowest)
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.staff_lists", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders (100000)")
    parser.add_argument("--walks", type=int, default=100, help="walks through each class of query (100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="a folder: keep the database there, and use it again")
    parser.add_argument("--slowest", action="store_true", help="print the slowest query of each class")
    arguments = parser.parse_args()
    if arguments.folder:
        Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    uvloop.run(run(arguments))
