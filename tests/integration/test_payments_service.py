"""The payments service whole, on PostgreSQL and the Stripe sandbox; its topics are lists."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import orjson
import pytest
import pytest_asyncio
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.app import payments_service
from services.payments.gateways.stripe.gateway import StripeGateway
from services.payments.gateways.stripe.records import stripe_movements
from services.payments.gateways.stripe.settings import StripeSettings
from services.payments.reconciliation import reconcile
from services.payments.settings import PaymentsSettings
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import EVENTS, RefundPayment
from shared.contracts.values import PaymentStatus
from shared.core import Message, derived_id
from shared.settings import ServiceSettings, example_settings
from shared.shell.http.api import ShellHttpApi
from shared.shell.http.application import Readiness, application
from shared.shell.http.principals import Principals
from shared.shell.inbound.message import Inbound
from shared.shell.ports.bus import Sent
from shared.shell.ports.clock import Clock, SystemClock
from shared.shell.ports.http_api import HttpApi
from shared.shell.ports.rows import OutboxRow
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.store import PostgresStore
from shared.shell.shell import Shell
from tests.integration.conftest import NewDatabase
from tests.integration.stripe_sandbox_rig import KEY, SECRET, Receiver, Sandbox, listening, sandbox
from tests.integration.test_shell_on_postgres import NoSource
from tests.unit.payments.examples import requested

TOKEN = "a-token-of-this-test"
_ids = (derived_id(UUID(int=11), n, datetime.now(UTC)) for n in count(1))


class Told(NamedTuple):
    """An event that left the service."""

    type: str
    key: str
    body: dict[str, Any]


@dataclass
class Bus:
    """A sink that keeps the events that it gets."""

    types: list[str] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)

    async def start(self) -> None: ...

    def started(self) -> bool:
        return True

    async def send(self, rows: Sequence[OutboxRow]) -> Sent:
        for row in (row for row in rows if row.topic == EVENTS.name):  # not the copies of what came by HTTP
            type = dict(orjson.loads(row.headers))["ce_type"]
            self.types.append(type)
            self.events.append(Told(type, row.key, orjson.loads(row.body)))
        return Sent([row.id for row in rows])

    async def stop(self) -> None: ...


@dataclass
class Running:
    """The service at work."""

    shell: Shell
    engine: AsyncEngine
    bus: Bus
    stripe: Sandbox
    gateway: StripeGateway
    url: str
    http: aiohttp.ClientSession

    async def hears(self, *messages: Message, key: str = "o-1") -> None:
        now = self.shell.clock.now()
        await self.shell.batcher.handle([Inbound(next(_ids), key, message, occurred=now) for message in messages])

    async def until(self, *types: str) -> None:
        async with asyncio.timeout(10):
            while self.bus.types != list(types):
                await asyncio.sleep(0.02)

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def refund(self, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
        return await self.command(key, "refund", **body)

    async def command(self, key: str, verb: str, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
        async with self.http.post(f"{self.url}/orders/o-1/{verb}", json=body, headers=headers) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def faults(self) -> list[tuple[str, str]]:
        found = await reconcile(self.engine, [one async for one in stripe_movements(self.gateway)])
        return [(difference.problem, difference.order) for difference in found]


def settings_for(database: str, stripe_url: str) -> PaymentsSettings:
    stripe = StripeSettings(
        api_key=SecretStr(KEY), api_base=stripe_url, webhook_secret=SecretStr(SECRET), requests_per_second=500
    )
    own = {"api_token": SecretStr(TOKEN), "payments": ServiceSettings(database_url=database), "stripe": stripe}
    return example_settings(PaymentsSettings).model_copy(update=own)


@contextlib.asynccontextmanager
async def payments_at(database: str, port: int, stripe: Sandbox, clock: Clock | None = None) -> AsyncIterator[Running]:
    settings = settings_for(database, stripe.url)
    engine = create_engine(database, "test")
    store, bus = PostgresStore(engine), Bus()
    await store.housekeep(datetime.now(UTC), 9)
    clock = clock or SystemClock()
    service = payments_service(settings, engine, now=lambda: clock.now().timestamp())
    shell = Shell(
        service,
        "payments-0",
        store=store,
        source=NoSource(),
        sink=bus,
        lock=lambda: PostgresRelayLock(database, "payments-0"),
        clock=clock,
        rng=random.Random(1),
    )
    api = ShellHttpApi(shell.registry, store, shell.batcher, shell.clock, engine)
    app = application(
        shell.registry, api, shell.parking, shell.operations, shell.metrics, Principals.of_token(TOKEN), Readiness()
    )
    gateway = StripeGateway(settings.stripe)
    await shell.start()
    async with listening(app, port) as url, aiohttp.ClientSession() as http:
        yield Running(shell, engine, bus, stripe, gateway, url, http)
    await shell.stop(2)
    for close in (*service.resources, gateway.close):
        await close()
    await engine.dispose()


@pytest_asyncio.fixture
async def running(new_database: NewDatabase, tmp_path: Path) -> AsyncIterator[Running]:
    database = await new_database("payments")
    port = free_port()
    callbacks = Receiver(url=f"http://127.0.0.1:{port}/stripe/webhook")
    async with sandbox(tmp_path, callbacks) as stripe, payments_at(database, port, stripe) as service:
        yield service


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def paid_with(method: str, attempt: int = 1) -> Message:
    return requested(attempt).model_copy(update={"payment_method": method})


async def test_an_order_is_paid_once_by_answer_and_callback(running: Running) -> None:
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.captured")
    await running.stripe.settled()
    payment = await running.get("/orders/o-1/payment")
    assert (payment["status"], payment["captured"], payment["refundable"]) == ("paid", 5000, 5000)
    assert payment["attempts"][0]["card"]["last4"] == "4242"
    entries = (await running.get("/ledger?kind=capture"))["entries"]
    assert sorted(entry["amount"] for entry in entries) == [-5000, 5000]
    assert running.bus.types == ["payment.captured"]
    assert await running.faults() == []


async def test_the_answer_is_lost_and_the_callback_tells(running: Running) -> None:
    await running.stripe.control("POST", "faults", kind="close_after")
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.captured")
    assert await running.faults() == []


async def test_declined_then_another_card(running: Running) -> None:
    await running.hears(paid_with("pm_card_chargeDeclined"))
    await running.until("payment.declined")
    await running.hears(paid_with("pm_card_visa", 2))
    await running.until("payment.declined", "payment.captured")
    found = (await running.get("/payments?status=paid&store=s-1"))["payments"]
    assert [(row["key"], row["captured"]) for row in found] == [("o-1", 5000)]


async def test_an_order_that_ended_before_its_payment_was_requested_has_no_payment(running: Running) -> None:
    await running.hears(OrderCancelled())
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.cancelled")
    assert (await running.get("/payments"))["payments"] == []
    url, headers = f"{running.url}/orders/o-1/payment", {"Authorization": f"Bearer {TOKEN}"}
    async with running.http.get(url, headers=headers) as answer:
        assert answer.status == 404
    assert (await running.refund("key-1"))[1]["code"] == "not_paid"
    assert await running.faults() == []


async def test_a_new_attempt_cancels_an_open_3ds_attempt(running: Running) -> None:
    await running.hears(paid_with("pm_card_threeDSecureRequired"))
    await running.until("payment.action_required")
    await running.hears(paid_with("pm_card_visa", 2))
    await running.until("payment.action_required", "payment.cancelled", "payment.captured")
    assert await running.faults() == []


async def test_refunds_by_http_and_by_cancel(running: Running) -> None:
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.captured")
    assert (await running.refund("k-1", items=[{"item": "2"}]))[0] == 202
    assert (await running.refund("k-1", items=[{"item": "2"}]))[1]["duplicate"] is True
    status, problem = await running.refund("k-2", amount=3001)
    assert (status, problem["code"]) == (409, "too_much")
    assert "30.00 USD" in problem["title"]
    await running.until("payment.captured", "payment.refunded")
    await running.hears(OrderCancelled())
    await running.until("payment.captured", "payment.refunded", "payment.refunded")
    await running.stripe.settled()
    assert (await running.get("/orders/o-1/payment"))["status"] == "refunded"
    assert await running.faults() == []


async def test_the_provider_has_nothing_of_a_recorded_refund_and_agrees(running: Running) -> None:
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.captured")
    recorded = {"amount": 700, "refund_payment": False, "note": "By bank transfer.", "reference": "SEPA-17"}
    assert (await running.refund("k-1", **recorded))[0] == 202
    await running.until("payment.captured", "payment.refunded")
    assert (await running.get("/orders/o-1/payment"))["refundable"] == 4300
    assert await running.faults() == []


async def test_a_refused_command_by_topic_is_answered_there(running: Running) -> None:
    await running.hears(RefundPayment())
    await running.until("payments.refused")


async def test_damage_is_found(running: Running) -> None:
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.captured")
    await running.stripe.control("POST", "charges", amount=700)
    assert await running.faults() == [("unknown_to_us", ""), ("balance", "")]
    async with running.engine.begin() as connection:
        await connection.execute(sa.text("update ledger_entries set amount = amount + 1 where account = 'sales'"))
        await connection.execute(sa.text("update payments set refunded = 1"))
    assert ("unbalanced", "o-1") in await running.faults()
    assert ("balance", "o-1") in await running.faults()


async def test_the_database_itself_refuses_more_refunds_than_captures(running: Running) -> None:
    await running.hears(paid_with("pm_card_visa"))
    await running.until("payment.captured")
    async with running.engine.connect() as connection:
        for column in ("refunded", "pending"):
            with contextlib.suppress(sa.exc.IntegrityError):
                await connection.execute(sa.text(f"update payments set {column} = captured + 1"))
                raise AssertionError(column)
            await connection.rollback()


@pytest.mark.parametrize(
    "query",
    [
        *("/payments?reference=pi_77", "/payments?number=ORD-77", "/payments?store=s-7", "/payments?unresolved=true"),
        *(f"/payments?status={status}" for status in PaymentStatus),
        *("/ledger?reference=pi_77", "/ledger?key=o-77", "/ledger?from=2026-01-02T00:00:00Z"),
    ],
)
async def test_a_list_reads_little_more_than_it_shows(
    running: Running, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many payments, nearly all paid, and their entries."""
    async with running.engine.begin() as connection:
        for statement in MANY:
            await connection.execute(sa.text(statement))
    plans: list[dict[str, Any]] = []

    async def explained(api: HttpApi, statement: sa.Select[Any], limit: int) -> list[dict[str, Any]]:
        async with api.engine.connect() as connection:
            text = str(statement.limit(limit).compile(connection.engine.sync_engine, compile_kwargs=LITERALLY))
            explain = sa.text("explain (analyze, format json) " + text.replace(":", "\\:"))
            plans.append((await connection.execute(explain)).scalar_one()[0]["Plan"])
        return []

    monkeypatch.setattr("services.payments.http._rows", explained)
    await running.get(query)
    assert rows_read(plans[0]) <= 600, plans[0]


MANY = (
    """insert into payments (key, version, sequence, number, store, status, provider, currency, reference, unresolved,
            data, changed_at)
        select 'o-' || n, 1, 1, 'ORD-' || n, 's-' || n % 100, case when n % 500 = 0 then 'failed' else 'paid' end,
            'stripe', 'USD', 'pi_' || n, n % 1000 = 0, '{}', now() from generate_series(1, 20000) n""",
    """insert into ledger_entries (key, id, at, transaction, kind, account, amount, currency, provider, reference,
            store)
        select 'o-' || n, gen_random_uuid(), timestamptz '2026-01-01' + n * interval '1 minute', gen_random_uuid(),
            'capture', 'provider_balance', 1, 'USD', 'stripe', 'pi_' || n, 's'
        from generate_series(1, 20000) n""",
    "analyze payments",
    "analyze ledger_entries",
)
LITERALLY = {"literal_binds": True}


def rows_read(plan: dict[str, Any]) -> float:
    """By all nodes of a plan: what they returned and what their filters removed."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return float(own + sum(rows_read(below) for below in plan.get("Plans", ())))
