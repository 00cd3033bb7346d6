"""One order's way through all four services is one trace: the shell of each, over a bus and stores in memory."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from services.declared import declared
from services.fulfillment.domain.operations import SignDownload
from services.notifications.domain.operations import SendEmail
from services.payments.domain.operations import ChargeCard, ChargeResult
from services.registry import SERVICES
from shared.contracts.checkout import STATUS, CancelOrder
from shared.contracts.envelope import Envelope, encode, to_headers
from shared.contracts.fulfillment import ConfigureProduct, Download
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted, PaymentChoice, SubmittedItem
from shared.contracts.stores import ConfigureStore, DefineSku
from shared.contracts.values import Customer
from shared.core import Command, NotDone, Operation, Outcome, Refused, Retry, derived_id
from shared.shell.http.api import ShellHttpApi
from shared.shell.observability.otlp import SpanExport
from shared.shell.observability.tracing import CURRENT, key_context, trace_of
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.clock import SystemClock
from shared.shell.shell import Shell
from shared.simulation.bus import MemoryBus, MemorySink, MemorySource
from shared.simulation.memory_store import MemoryStore
from shared.simulation.relay_lock import AdvisoryLock

_ids = (derived_id(UUID(int=99), number, datetime.now(UTC)) for number in count(1))


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Outside:
    """Answers at once; what a call is sent in is kept. The mail server is busy at the first try."""

    contexts: dict[str, str] = field(default_factory=dict)

    async def perform(self, operation: Operation, key: str) -> Outcome | Retry:
        first = operation.__class__.__qualname__ not in self.contexts
        self.contexts[operation.__class__.__qualname__] = CURRENT.get()
        match operation:
            case ChargeCard():
                return ChargeCard.Done(ChargeResult("pi_1", "succeeded", operation.amount))
            case SignDownload():
                return SignDownload.Done("https://files.example/1")
            case SendEmail():
                return Retry("busy: ada@mail.example", after=0.01) if first else SendEmail.Done()
        raise AssertionError(operation)

    async def find(self, operation: Operation, key: str) -> NotDone:
        return NotDone()


@dataclass
class Town:
    """Four services, and the spans that all of them told."""

    bus: MemoryBus
    shells: dict[str, Shell]
    spans: InMemorySpanExporter
    outside: Outside

    def publish(self, key: str, message: Command, traceparent: str = "") -> None:
        kind = type(message)
        envelope = Envelope(next(_ids), kind.type, "shop", key, now(), store="s", traceparent=traceparent)
        self.bus.append(kind.topic.name, key.encode(), to_headers(envelope), encode(message))

    async def settles(self) -> None:
        """Till nothing was told for a moment."""
        before = -1
        while before != (before := len(self.spans.get_finished_spans())):
            await asyncio.sleep(0.6)

    def trace(self, trace: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if f"{context(span).trace_id:032x}" == trace]


def context(span: ReadableSpan) -> Any:
    assert span.context is not None
    return span.context


def told(span: ReadableSpan, attribute: str) -> object:
    return (span.attributes or {})[f"orderbus.{attribute}"]


@pytest_asyncio.fixture
async def town() -> AsyncIterator[Town]:
    bus, exporter, outside = MemoryBus(now, random.Random(1)), InMemorySpanExporter(), Outside()
    shells = {name: _shell(name, bus, exporter, outside) for name in SERVICES}
    for shell in shells.values():
        await shell.start()
    town = Town(bus, shells, exporter, outside)
    town.publish(
        "s",
        ConfigureStore(
            name="Store",
            sender="a@store.example",
            staff_email="a@store.example",
            support_email="a@store.example",
            order_url="https://store.example/{order}",
            currencies=("USD",),
        ),
    )
    await town.settles()
    town.publish("s/file", DefineSku(product="File", prices={"USD": 500}))
    town.publish("s/file", ConfigureProduct(action=Download(file="a.zip")))
    await town.settles()
    yield town
    for shell in shells.values():
        await shell.stop(0.1)


def _shell(name: str, bus: MemoryBus, exporter: InMemorySpanExporter, outside: Outside) -> Shell:
    service = declared()[name]
    service = replace(service, gateways=dict.fromkeys(service.gateways, outside), routes=None, resources=())
    advisory, store = AdvisoryLock(), MemoryStore(now=now)
    return Shell(
        service,
        f"{name}-0",
        store=store,
        source=MemorySource(bus, name, f"{name}-0", [topic.name for topic in service.consumes]),
        sink=MemorySink(bus),
        lock=lambda: advisory.lock(name, store),
        clock=SystemClock(),
        rng=random.Random(1),
        poll=0.05,
        tracer=SpanExport(SimpleSpanProcessor(exporter), name, f"{name}-0"),
    )


def checkout_of_a_file() -> CheckoutSubmitted:
    return CheckoutSubmitted(
        store="s",
        customer=Customer(name="Ada Lovelace", email="ada@mail.example"),
        items=(SubmittedItem(sku="file", quantity=1, unit_price=500),),
        currency="USD",
        subtotal=500,
        tax=0,
        total=500,
        purchased=500,
        payment=PaymentChoice(payment_method="pm_good"),
    )


async def buy(town: Town, traceparent: str = "") -> None:
    """An order from the checkout page to completion."""
    completed = asyncio.Event()

    def seen(record: BusRecord) -> None:
        if record.topic == STATUS.name and b'"completed"' in (record.value or b""):
            completed.set()

    town.bus.on_append = seen
    town.publish("o-1", CheckoutOpened(store="s", currency="USD"), traceparent)
    town.publish("o-1", checkout_of_a_file(), traceparent)
    await asyncio.wait_for(completed.wait(), 20)
    await town.settles()


async def test_an_order_is_one_tree_through_all_services(town: Town) -> None:
    await buy(town)
    spans = town.trace(trace_of(key_context("o-1")))

    ids = [context(span).span_id for span in spans]
    assert len(set(ids)) == len(ids), "every span has an id of its own, in whichever service"
    assert [span.name for span in spans if span.parent is None] == ["Order"]
    assert [span.name for span in spans if span.parent and span.parent.span_id not in ids] == []
    told_of = {span.resource.attributes["service.name"] for span in spans}
    assert told_of == set(SERVICES) - {"staff"}, "staff reads, and handles nothing of an order"
    assert {told(span, "key") for span in spans} == {"o-1"}
    parents = {context(span).span_id: span for span in spans}
    for span in spans:
        assert span.start_time and span.end_time and span.end_time >= span.start_time
        parent = parents[span.parent.span_id] if span.parent else None
        assert parent is None or (parent.start_time or 0) <= span.start_time

    charge = next(span for span in spans if span.name == "ChargeCard")
    assert path(charge, parents) == [
        "Order",
        "checkout.submitted",
        "order.placed",
        "stock.reserved",
        "order.payment_requested",
        "ChargeCard",
    ]
    paid = [span for span in spans if span.name == "order.paid"]
    assert {span.resource.attributes["service.name"] for span in paid} == {"fulfillment", "notifications"}
    assert all(path(span, parents)[5:8] == ["ChargeCard", "ChargeCard.Done", "payment.captured"] for span in paid)


async def test_every_try_has_a_span_and_the_outside_is_told_of_it(town: Town) -> None:
    await buy(town)

    tries = [span for span in town.spans.get_finished_spans() if span.name == "SendEmail"]
    first = next(span for span in tries if told(span, "outcome") == "retry")
    assert first.status.status_code is StatusCode.ERROR
    both = [span for span in tries if told(span, "operation_id") == told(first, "operation_id")]
    assert [told(span, "attempt") for span in both] == [1, 2]
    assert len({context(span).span_id for span in both}) == 2
    charge = next(span for span in town.spans.get_finished_spans() if span.name == "ChargeCard")
    assert town.outside.contexts["ChargeCard"].split("-")[2] == f"{context(charge).span_id:016x}"


async def test_a_storefront_that_traces_keeps_its_trace(town: Town) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await buy(town, f"00-{trace}-00f067aa0ba902b7-01")

    spans = town.trace(trace)
    known = {context(span).span_id for span in spans} | {0x00F067AA0BA902B7}
    assert len(spans) > 10
    assert all(span.parent and span.parent.span_id in known for span in spans)
    assert town.trace(trace_of(key_context("o-1"))) == []


async def test_a_command_by_http_joins_the_trace_of_its_order(town: Town) -> None:
    await buy(town)
    shell = town.shells["checkout"]
    nothing: Any = None
    api = ShellHttpApi(shell.registry, shell.store, shell.batcher, shell.clock, nothing, shell.batcher.tracer)

    answer = await api.submit(CancelOrder(), "o-1", identity="once", actor="staff:anna")

    assert isinstance(answer, Refused)
    spans = town.trace(trace_of(key_context("o-1")))
    request = next(span for span in spans if span.name == "HTTP order.cancel")
    handled = next(span for span in spans if span.name == "order.cancel")
    assert handled.parent and handled.parent.span_id == context(request).span_id
    assert [told(span, "outcome") for span in (request, handled)] == ["refused", "refused"]


IDS_AND_TIMES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z")
"""The digits of ids spell names at times, and any four digits occur in times."""


async def test_no_span_has_personal_data(town: Town) -> None:
    await buy(town)
    everything = IDS_AND_TIMES.sub("", " ".join(span.to_json() for span in town.spans.get_finished_spans()))
    assert "ChargeCard" in everything
    for secret in ("ada", "Ada", "Lovelace", "mail.example", "pm_good", "4242", "staff:anna"):
        assert secret not in everything


def path(span: ReadableSpan, parents: dict[int, ReadableSpan]) -> list[str]:
    """Names from the root down."""
    above = path(parents[span.parent.span_id], parents) if span.parent else []
    return [*above, span.name]
