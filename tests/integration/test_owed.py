"""What is owed, over HTTP and in what waits for staff; and a refund's preview."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from aiohttp.test_utils import TestServer
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.attention import OWED, amounts_refused, owed_refunds, refunds_by_hand
from services.payments.domain.payment import Payment
from services.payments.gauges import GAUGES
from services.payments.owed import OwedQuery, statement
from services.payments.storage import payment_columns, payments
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import RecordPayment, RefundPayment
from shared.core import codec
from shared.core.fast_dataclasses import replace
from shared.core.ids import random_id
from shared.shell.ports.attention import Attention
from shared.shell.postgres.store import read_gauges
from tests.http_edges import BEARER, service_edge
from tests.integration.conftest import NewDatabase
from tests.integration.test_payments_service import rows_read
from tests.unit.payments.examples import PaymentScenario, refund_reported, requested
from tests.unit.payments.test_amount_refused import WORDS, refused
from tests.unit.payments.test_owed import surplus

NOW = datetime.now(UTC)
LITERALLY: Any = {"compile_kwargs": {"literal_binds": True}}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class Served:
    """Payments' HTTP API on a database of its own."""

    engine: AsyncEngine
    url: str
    http: aiohttp.ClientSession

    async def has(self, key: str, payment: PaymentScenario, age: timedelta = timedelta(), changed: Any = NOW) -> None:
        """`age`: of its refunds."""
        refunds = tuple(replace(refund, at=NOW - age) for refund in payment.state.refunds)
        state: Payment = replace(payment.state, refunds=refunds, number=f"ORD-{key}")
        row = {"key": key, "version": 1, "sequence": 0, "changed_at": changed, "data": orjson.loads(codec.dump(state))}
        async with self.engine.begin() as connection:
            await connection.execute(sa.insert(payments).values(row | dict(payment_columns(state))))

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path, headers=BEARER) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def preview(self, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
        path = f"{self.url}/orders/{key}/refund/preview"
        async with self.http.post(path, json=body, headers=BEARER) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def waits(self, number: int, key: str, at: datetime, refund: str = "r-1") -> None:
        """A call that requests a refund, for want of money in the provider's balance."""
        call = """insert into operations (id, key, kind, payload, meta, due, requested_at, destination, serial,
            attempts, lease, leased_by, in_doubt, abandoned, error, history) values (:id, :key, 'RefundCharge',
            :payload, '', :at, :at, 'stripe', false, 3, 3, '', false, false, 'no balance', '[]')"""
        payload = orjson.dumps({"refund": refund}).decode()
        values = {"id": random_id(number, 1), "key": key, "payload": payload, "at": at}
        async with self.engine.begin() as connection:
            await connection.execute(sa.text(call), values)

    async def overdue(self) -> Sequence[Attention]:
        async with self.engine.connect() as connection:
            found = await owed_refunds(connection)
        assert await self.counted() == len(found)
        return found

    async def counted(self) -> float:
        return (await read_gauges(self.engine, GAUGES))["refunds_owed"]


@pytest_asyncio.fixture
async def served(new_database: NewDatabase) -> AsyncIterator[Served]:
    url = await new_database("payments")
    edge = service_edge("payments", url)
    async with TestServer(edge.application) as server, aiohttp.ClientSession() as http:
        yield Served(edge.engine, str(server.make_url("")).rstrip("/"), http)
    await edge.engine.dispose()


def paid() -> PaymentScenario:
    return PaymentScenario(requested()).pay()


def cancelled() -> PaymentScenario:
    return paid().hear(OrderCancelled())


def at_the_bank() -> PaymentScenario:
    payment = cancelled()
    return payment.hear(refund_reported(payment.refund().refund, "pending"))


async def test_what_is_owed_is_listed_part_by_part_the_longest_unchanged_first(served: Served) -> None:
    await served.has("paid", paid())
    await served.has("sent", paid().hear(RefundPayment(amount=100)), changed=NOW - HOUR)
    await served.has("refused", surplus().fail_refund(), changed=NOW - 2 * HOUR)

    page = await served.get("/owed")

    assert [(row["order"], row["number"], row["store"], row["owed"]) for row in page["owed"]] == [
        ("refused", "ORD-refused", "s-1", 5000),
        ("sent", "ORD-sent", "s-1", 100),
    ]
    (part,) = page["owed"][0]["obligations"]
    assert (part["attempt"], part["amount"], part["state"], part["for_staff"]) == (1, 5000, "owed", False)
    assert (part["tries"], part["code"], part["text"]) == (1, "charge_disputed", "Disputed.")
    assert page["next"] is None
    payment = await served.get("/orders/refused/payment")
    assert (payment["owed"], payment["obligations"]) == (5000, [part])


async def test_a_refund_whose_call_waits_says_why(served: Served) -> None:
    payment = cancelled()
    await served.has("o-1", payment)
    await served.waits(1, "o-1", NOW, payment.refund().refund)
    for parts in (
        (await served.get("/owed"))["owed"][0]["obligations"],
        (await served.get("/orders/o-1/payment"))["obligations"],
    ):
        assert [(part["state"], part["text"]) for part in parts] == [("sent", "no balance")]


async def test_it_has_pages_and_stores(served: Served) -> None:
    for number in range(5):
        await served.has(f"o-{number}", cancelled().fail_refund(), changed=NOW - number * HOUR)
    first = await served.get("/owed?limit=2&store=s-1")
    second = await served.get(f"/owed?limit=3&after={first['next'].replace('+', '%2B')}")
    assert [row["order"] for row in first["owed"] + second["owed"]] == ["o-4", "o-3", "o-2", "o-1", "o-0"]
    assert second["next"] is None
    assert (await served.get("/owed?store=s-2"))["owed"] == []
    async with served.http.get(f"{served.url}/owed?after=o-1", headers=BEARER) as answer:
        assert (answer.status, "`next` of an earlier page" in await answer.text()) == (400, True)


async def test_one_of_a_newer_build_is_listed_by_its_sum(served: Served) -> None:
    await served.has("o-1", cancelled().fail_refund())
    async with served.engine.begin() as connection:
        newer = """update payments set data = jsonb_set(data, '{refunds,0,status}', '"halved"')"""
        await connection.execute(sa.text(newer))
    (row,) = (await served.get("/owed"))["owed"]
    assert (row["owed"], row["newer"], row["obligations"]) == (5000, True, [])


@pytest.mark.parametrize(
    ("payment", "age", "listed"),
    [
        (cancelled().fail_refund(), 2 * DAY, True),
        (cancelled().fail_refund(), HOUR, False),
        (cancelled(), 2 * DAY, True),
        (cancelled().make_refund(), 2 * DAY, False),
        (paid().hear(RefundPayment(amount=100)).fail_refund(), 2 * DAY, False),
        (cancelled().lose_refund(), 2 * DAY, False),
        (at_the_bank(), 2 * DAY, False),
        (at_the_bank(), 15 * DAY, True),
    ],
    ids=["refused", "refused today", "sent", "made", "not owed", "unresolved", "at the bank", "for long"],
)
async def test_what_is_owed_for_a_day_waits_for_staff(
    payment: PaymentScenario, age: timedelta, listed: bool, served: Served
) -> None:
    """Though it was tried again a moment ago."""
    await served.has("o-1", payment, age)
    assert [entry.subject for entry in await served.overdue()] == ["ORD-o-1"] * listed


@pytest.mark.parametrize(("age", "counted"), [(HOUR, 0), (2 * DAY, 1)])
async def test_a_refund_by_hand_waits_for_staff_at_once(age: timedelta, counted: int, served: Served) -> None:
    """The alert leaves them a day. Whether sooner or later, it is listed once."""
    payment = PaymentScenario(requested(provider="manual", method="cash", payment_method=None))
    payment.hear(RecordPayment(method="cash")).hear(RefundPayment(amount=100)).hear(RefundPayment(amount=200))
    await served.has("o-1", payment, age)
    async with served.engine.connect() as connection:
        (entry,) = await refunds_by_hand(connection)
        assert await owed_refunds(connection) == []
    assert (entry.what, entry.subject) == ("refund by hand", "ORD-o-1")
    assert entry.reason == "3.00 USD is to be refunded by hand: make it, then record it"
    assert entry.command == "orderbus settle refund ORD-o-1 refunded|not_refunded --reason TEXT"
    assert await served.counted() == counted


async def test_an_amount_that_the_provider_refuses_waits_for_staff(served: Served) -> None:
    await served.has("o-1", refused())
    await served.has("o-2", refused().hear(OrderCancelled()))
    await served.has("o-3", PaymentScenario(requested()).decline())
    await served.has("o-4", refused(), changed=NOW - 31 * DAY)
    async with served.engine.connect() as connection:
        (entry,) = await amounts_refused(connection)
    assert (entry.what, entry.subject, entry.command) == ("amount refused", "ORD-o-1", "orderbus cancel ORD-o-1")
    assert entry.reason == f"The provider does not take 50.00 USD: {WORDS}"


async def test_a_payment_is_listed_once_with_its_calls(served: Served) -> None:
    await served.has("o-1", cancelled().fail_refund(), 2 * DAY)
    for number, key in enumerate(("o-1", "o-1", "o-2")):
        await served.waits(number, key, NOW - 3 * DAY)

    entries = await served.overdue()

    assert sorted((entry.what, entry.subject, entry.command) for entry in entries) == [
        ("refund owed", "ORD-o-1", "orderbus payments owed"),
        ("refund owed", "o-2", "orderbus payments owed"),
    ]
    assert {entry.subject: entry.reason for entry in entries} == {
        "ORD-o-1": "50.00 USD is not paid out yet: Disputed.",
        "o-2": "A refund is not paid out yet: no balance",
    }


async def test_the_lists_read_little_more_than_they_show(served: Served) -> None:
    """Of many payments, nearly all with nothing owed."""
    await served.has("o-owed", cancelled().fail_refund(), 2 * DAY)
    many = """insert into payments (key, version, sequence, number, store, currency, owed, pending, data, changed_at)
        select 'o-' || n, 1, 1, 'ORD-' || n, 's-1', 'USD', 0, 0, '{}', now() from generate_series(1, 20000) n"""
    async with served.engine.begin() as connection:
        for prepared in (many, "analyze payments"):
            await connection.execute(sa.text(prepared))
        listed = str(statement(OwedQuery(store="s-1")).limit(100).compile(served.engine.sync_engine, **LITERALLY))
        for text in (listed, f"{OWED} order by since limit 500"):
            explain = sa.text(f"explain (analyze, format json) {text.replace(':', chr(92) + ':')}")
            plan = (await connection.execute(explain)).scalar_one()[0]["Plan"]
            assert rows_read(plan) <= 30, plan


async def test_a_preview_says_what_the_refund_does_and_changes_nothing(served: Served) -> None:
    await served.has("o-1", paid())
    status, said = await served.preview("o-1", items=[{"item": "1", "amount": 500}, {"item": "2"}])
    assert (status, said["amount"], said["refundable_before"], said["refundable_after"]) == (200, 2500, 5000, 2500)
    assert [(item["item"], item["amount"], item["whole"]) for item in said["items"]] == [
        ("1", 500, False),
        ("2", 2000, True),
    ]
    assert (said["recorded"], said["provider"], said["currency"]) == (False, "stripe", "USD")
    assert (await served.get("/orders/o-1/payment"))["refunds"] == []


async def test_a_preview_is_refused_as_the_refund_is(served: Served) -> None:
    await served.has("o-1", paid())
    status, problem = await served.preview("o-1", items=[{"item": "9"}, {"item": "2", "amount": 2001}])
    assert (status, problem["code"]) == (409, "unknown_item")
    assert [one["field"] for one in problem["problems"]] == ["items.0", "items.1"]
    assert (await served.preview("o-7"))[1]["code"] == "not_found"
    assert (await served.preview("o-1", amount="x"))[0] == 400


async def test_a_preview_says_that_messages_of_the_order_wait(served: Served) -> None:
    await served.has("o-1", paid())
    park = """insert into parked (key, message_id, origin, kind, topic, partition, record_offset, headers, reason,
        error, parked_at) select :key, gen_random_uuid(), 'record', 'payment.settle', 't', 0, n, '[]', 'failed', '',
        now() from generate_series(1, 2) n"""
    async with served.engine.begin() as connection:
        for key in ("o-1", "o-7"):
            await connection.execute(sa.text(park), {"key": key})
    status, said = await served.preview("o-1")
    assert (status, said["amount"], said["parked"]) == (200, 5000, 2)
    status, problem = await served.preview("o-7")
    assert (status, problem["code"]) == (404, "not_found")
    assert problem["title"].endswith("2 messages of this order wait in payments, and what they change is not counted.")
