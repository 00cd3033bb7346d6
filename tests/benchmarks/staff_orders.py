"""Made-up orders in staff's read models, as many as wanted: the same ones for the same seed, written by COPY."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import asyncpg
import orjson

from services.checkout.domain.numbers import order_number
from services.staff.search_text import folded
from services.staff.storage import read_models
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core.day_sums import Adds
from shared.shell.postgres.day_sums import again_statements

NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 700
STORES = ("main", "game", "course")
STORE_WEIGHTS = (70, 25, 5)
COUNTRIES = ("US", "DE", "GB", "FR", "FI", "SE", "PL", "BR", "JP", "KR", "IN", "AU", "CA", "NO", "EE", "IS")
FIRST = (
    "Anna Ben Clara David Elena Felix Greta Hugo Ida Jonas Karin Lars Maria Nils Olga Paul Quinn Rosa Sven Tina Uwe "
    "Vera Walter Xenia Yuri Zoe Ärmel Øyvind Łukasz Сергей 민수 太郎 José Renée Björn Søren"
).split()
LAST = (
    "Smith Jones Müller Schmidt Virtanen Korhonen Nieminen Garcia Silva Kowalski Nowak Иванов Петров Kim Park 田中 "
    "鈴木 Andersson Johansson Hansen Olsen Dubois Martin Bernard Rossi Russo Ferrari Novak Horvat Nagy Tóth Kaya "
    "Yılmaz Brown Taylor Wilson Evans Thomas Roberts Walker Wright Green Hall Wood Harris Clark Lewis Young King Scott"
).split()
HOSTS = ("example.com", "mail.example", "example.org", "post.example", "inbox.example")
TAGS = ("vip", "gift", "wholesale", "newsletter", "first", "b2b", "press")
SOURCES = ("google", "facebook", "newsletter", "direct", "partner", "podcast")
CODES = tuple(f"SALE-{number}" for number in range(60))
METHODS = ("card", "card", "card", "bank_transfer", "paypal")
STATUSES = (
    *((OrderStatus.COMPLETED, PaymentStatus.PAID, 700), (OrderStatus.CREATED, PaymentStatus.PENDING, 120)),
    *((OrderStatus.EXPIRED, PaymentStatus.PENDING, 60), (OrderStatus.DECLINED, PaymentStatus.FAILED, 30)),
    *((OrderStatus.REFUNDED, PaymentStatus.REFUNDED, 30), (OrderStatus.CANCELLED, PaymentStatus.PENDING, 20)),
    *((OrderStatus.COMPLETED, PaymentStatus.PARTIALLY_REFUNDED, 15), (OrderStatus.PROCESSING, PaymentStatus.PAID, 12)),
    *((OrderStatus.PENDING_PAYMENT, PaymentStatus.PENDING, 6), (OrderStatus.FAILED, PaymentStatus.PAID, 3)),
    *((OrderStatus.RETURNED, PaymentStatus.CHARGED_BACK, 2), (OrderStatus.COMPLETED, PaymentStatus.DISPUTED, 2)),
)
_WEIGHTS = [weight for *_, weight in STATUSES]
INDEXES = """select indexname, indexdef from pg_indexes where schemaname = 'public'
    and tablename in ('orders', 'order_search', 'payment_search', 'order_items', 'transactions', 'executions')
    and indexname not like '%pkey'"""
UNPLACED = (OrderStatus.CREATED,)


@dataclass
class MadeOrder:
    """An order's row, and what belongs to it, by table."""

    order: dict[str, Any]
    parts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def facets(self) -> list[str]:
        kinds = ("order", "payment", "delivery", "message")
        return [facet for kind in kinds for facet in self.order[f"{kind}_facets"]]


def made_orders(count: int, seed: int = 1) -> Iterator[MadeOrder]:
    """The oldest first, nearly."""
    rng = random.Random(seed)
    customers = max(count // 3, 10)
    for index in range(count):
        made = _order(rng, index, NOW - timedelta(days=DAYS) * (1 - index / count) - timedelta(seconds=1), customers)
        _payment(rng, made)
        _delivery(rng, made)
        _search(made)
        _adds(made)
        yield made


def _order(rng: random.Random, index: int, at: datetime, customers: int) -> MadeOrder:
    key, store = f"o-{index:09}", rng.choices(STORES, STORE_WEIGHTS)[0]
    status, payment_status, _ = rng.choices(STATUSES, _WEIGHTS)[0]
    placed = status not in UNPLACED
    who = int(rng.random() ** 2 * customers)
    name = f"{FIRST[who % len(FIRST)]} {LAST[who * 7 % len(LAST)]}"
    email = f"{folded(name).replace(' ', '.')}.{who}@{HOSTS[who % len(HOSTS)]}"
    lines = [int(rng.random() ** 3 * 2000) for _ in range(rng.choice((1, 1, 1, 2, 3)))] if placed else []
    total, tags = sum(900 + line for line in lines), [tag for tag in TAGS if rng.random() < 0.05]
    country = COUNTRIES[int(rng.random() ** 2 * len(COUNTRIES))] if placed else None
    source, code = rng.choice(SOURCES), rng.choice(CODES) if rng.random() < 0.1 else None
    held = "First order of this customer." if status == "processing" and rng.random() < 0.2 else None
    asked = rng.choice(("cancel", "refund")) if status == "completed" and rng.random() < 0.002 else None
    refunded = total if status == "refunded" else total // 3 if payment_status == "partially_refunded" else 0
    facets = [f"store:{store}", f"status:{status}", f"payment:{payment_status}", "currency:EUR", f"source:{source}"]
    facets += [f"country:{country}"] if country else []
    facets += ["held:yes"] if held else []
    facets += [f"asked:{asked}"] if asked else []
    facets += [f"tag:{tag}" for tag in tags] + [f"sku:SKU-{line}" for line in dict.fromkeys(lines)]
    facets += [f"discount:{code}"] if code else []
    order = {
        "order_id": key,
        "order_revision": 5,
        "store": store,
        "number": order_number(key),
        "status": str(status),
        "shown_status": str(status),
        "payment_status": str(payment_status),
        "fulfilment_status": "fulfilled" if status == "completed" else "unfulfilled",
        "currency": "EUR",
        "subtotal": total + total // 10 * bool(code) - total // 6,
        "discount": total // 10 * bool(code),
        "tax": total // 6,
        "total": total,
        "paid": total if payment_status == "paid" else None,
        "refunded": refunded,
        "customer_name": name if placed else None,
        "email": email if placed or rng.random() < 0.5 else None,
        "account": f"c-{who}" if placed and who % 3 == 0 else None,
        "country": country,
        "source": source,
        "item_count": len(lines),
        "held": held,
        "asked": asked,
        "created_at": at - timedelta(seconds=rng.randrange(600)),
        "placed_at": at if placed else None,
        "updated_at": at + timedelta(seconds=rng.randrange(400_000)),
        "order_facets": facets,
    }
    items = [
        {"order_id": key, "item": str(number), "store": store, "sku": f"SKU-{line}", "product": f"p-{line}"}
        | {"kind": "product", "quantity": 1, "purchased": 900 + line, "refunded": 0, "delivery": "delivered"}
        for number, line in enumerate(lines, 1)
    ]
    return MadeOrder(order, {"order_items": items})


def _payment(rng: random.Random, made: MadeOrder) -> None:
    order = made.order
    order |= {"payment_revision": 0, "provider": None, "method": None, "owed": 0, "payment_facets": []}
    made.parts |= {"transactions": [], "payment_search": []}
    if order["status"] in ("created", "expired"):
        return
    provider, method, key = rng.choice(("stripe", "stripe", "stripe", "manual")), rng.choice(METHODS), order["order_id"]
    owed = 500 if order["status"] == "cancelled" and rng.random() < 0.05 else 0
    facets = [f"provider:{provider}", f"method:{method}", *(["owed:yes"] if owed else [])]
    order |= {"payment_revision": 2, "provider": provider, "method": method, "owed": owed, "payment_facets": facets}
    status = "declined" if order["payment_status"] == "failed" else "captured"
    charge = {"order_id": key, "id": "charge:1", "store": order["store"], "kind": "charge", "attempt": 1}
    charge |= {"provider": provider, "method": method, "reference": f"pi_{rng.getrandbits(120):030x}", "status": status}
    charge |= {"amount": order["total"], "currency": "EUR", "at": order["placed_at"]}
    made.parts["transactions"].append(charge)
    if order["refunded"]:
        refund = {"id": "refund:r-1", "kind": "refund", "reference": f"re_{rng.getrandbits(120):030x}"}
        refund |= {"status": "done", "amount": order["refunded"], "at": order["updated_at"]}
        made.parts["transactions"].append(charge | refund)
    references = [each["reference"] for each in made.parts["transactions"]]
    made.parts["payment_search"] = [{"order_id": key, "folded": folded(*references)}]


def _delivery(rng: random.Random, made: MadeOrder) -> None:
    order = made.order
    order |= {"delivery_revision": 0, "failed_executions": 0, "waiting_executions": 0}
    order |= {"delivery_facets": [], "lost_webhooks": 0, "message_facets": []}
    made.parts["executions"] = []
    if order["status"] not in ("completed", "processing", "failed", "refunded", "returned"):
        return
    for number, item in enumerate(made.parts["order_items"], 1):
        status = "failed" if order["status"] == "failed" else "waiting_code" if rng.random() < 0.001 else "delivered"
        order["failed_executions"] += status == "failed"
        order["waiting_executions"] += status == "waiting_code"
        execution = {"order_id": order["order_id"], "execution": str(number), "store": order["store"]}
        execution |= {"about": item["item"], "name": item["product"], "quantity": 1, "kind": "download"}
        execution |= {"status": status, "text": "", "updated_at": order["updated_at"]}
        made.parts["executions"].append(execution)
    queue = "failed" if order["failed_executions"] else "waiting" if order["waiting_executions"] else None
    order["delivery_facets"] = ["kind:download", *([f"delivery:{queue}"] if queue else [])]
    order["lost_webhooks"] = int(rng.random() < 0.001)
    order["message_facets"] = ["webhooks:lost"] if order["lost_webhooks"] else []


def _adds(made: MadeOrder) -> None:
    """To the sums by day."""
    order, items = made.order, made.parts["order_items"]
    paid = order["payment_status"] not in ("pending", "failed")
    order["paid_at"] = paid_at = order["placed_at"] + timedelta(seconds=20) if paid else None
    order["completed_at"] = order["updated_at"] if paid and order["status"] == "completed" else None
    adds = Adds(order["store"], order["currency"])
    about = {"orders": "", "country": order["country"] or "", "source": order["source"], "offer": ""}
    adds.add(order["created_at"], about, opened=1)
    adds.add(order["placed_at"], about, placed=1)
    took = {"completed": 1, "seconds": (order["completed_at"] - paid_at).seconds} if order["completed_at"] else {}
    adds.add(paid_at, about, paid=1, sales=order["total"], refunded=order["refunded"], **took)
    for item in items:
        adds.add(paid_at, {"product": item["sku"]}, units=1, sales=item["purchased"])
    charges, failed = Adds(order["store"], order["currency"]), Adds(order["store"])
    for one in made.parts["transactions"]:
        about = {"provider": one["provider"], "method": f"{one['provider']}/{one['method']}"}
        if one["kind"] == "refund":
            about |= {"refund": "provider", "reason": "requested_by_customer"}
            charges.add(one["at"], about, refunds=1, refunded=one["amount"])
        else:
            captured = one["status"] == "captured"
            figures = {"paid": int(captured), "declined": int(not captured), "sales": one["amount"] * captured}
            charges.add(one["at"], about, attempts=1, **figures)
    for execution in made.parts["executions"]:
        if execution["status"] == "failed":
            about = {"failed_kind": execution["kind"], "failed_reason": f"{execution['kind']}/rejected"}
            failed.add(execution["updated_at"], about, failures=1)
    for name, found in (("order_adds", adds), ("payment_adds", charges), ("delivery_adds", failed)):
        as_json = found.as_json()
        order[name] = orjson.dumps(as_json).decode() if as_json else None


def _search(made: MadeOrder) -> None:
    order = made.order
    texts = [order[name] for name in ("number", "customer_name", "email") if order[name]]
    made.parts["order_search"] = [{"order_id": order["order_id"], "folded": folded(*texts)}]


async def write_orders(connection: asyncpg.Connection, orders: Iterator[MadeOrder], slice: int = 20_000) -> None:
    """Into empty tables, with the counters and sums. Indexes are made afterwards, which is quicker."""
    await connection.execute("set maintenance_work_mem to '256MB'; set synchronous_commit to off")
    indexes = await connection.fetch(INDEXES)
    for index in indexes:
        await connection.execute(f"drop index {index['indexname']}")
    counts = Counter[tuple[str, str]]()
    while batch := list(islice(orders, slice)):
        await _copy(connection, "orders", [made.order for made in batch])
        for table in batch[0].parts:
            await _copy(connection, table, [row for made in batch for row in made.parts[table]])
        counts.update((made.order["store"], made.order["status"]) for made in batch)
    rows = [{"store": store, "status": status, "count": count} for (store, status), count in counts.items()]
    await _copy(connection, "order_counts", rows)
    async with connection.transaction():
        for statement in again_statements(read_models):
            await connection.execute(statement)
    for index in indexes:
        await connection.execute(index["indexdef"])
    await connection.execute("vacuum analyze")


async def _copy(connection: asyncpg.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    columns = list(rows[0])
    records = [tuple(row[name] for name in columns) for row in rows]
    await connection.copy_records_to_table(table, records=records, columns=columns)
