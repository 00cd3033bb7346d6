"""A fact that is published in two versions is one fact: each reader handles the newest that it knows, once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.core import Context, Core, Decision, Event, Topic
from shared.shell.inbound.records import inbound_of
from shared.shell.ports.bus import BusRecord
from shared.shell.service.registry import HandlerRegistry
from shared.simulation.memory_database import OUTBOX
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import EVENTS, LATEST, FakeGateway, Meter, meter_service

READINGS = Topic("meter.readings.v1", owner="meter")


class Read1(Event, type="meter.read", topic=READINGS):
    count: int


class Read2(Event, type="meter.read", topic=READINGS, version=2):
    """Counts have units now."""

    amount: int
    unit: str

    def earlier(self) -> Read1:
        return Read1(count=self.amount)


class Read3(Event, type="meter.read", topic=READINGS, version=3):
    amount: str

    def earlier(self) -> Read2:
        amount, unit = self.amount.split()
        return Read2(amount=int(amount), unit=unit)


class Latest2(Event, type="meter.latest", topic=LATEST, version=2):
    count: int

    def earlier(self) -> Event:
        raise NotImplementedError


class Mute2(Event, type="meter.mute", topic=READINGS, version=2): ...


class Mute1(Event, type="meter.mute", topic=READINGS): ...


async def published(newest: Event, *emits: type[Event]) -> list[BusRecord]:
    """What a build puts on the topic that lists these in `emits`."""
    harness = Harness()
    service = replace(meter_service(harness.answers, FakeGateway()), emits={EVENTS: [], READINGS: list(emits)})
    harness.registry = HandlerRegistry(service)
    harness.when("read", lambda meter, message, context: Decision(meter, events=[newest]))
    await harness.counts("t-1", "read")
    rows = [row for row, _ in harness.store.rows(OUTBOX).values()]
    return [
        BusRecord(
            row.topic,
            0,
            row.id,
            row.key.encode(),
            tuple((n, v.encode()) for n, v in orjson.loads(row.headers)),
            row.body,
            START,
        )
        for row in rows
    ]


def header(record: BusRecord, name: str) -> str:
    return (dict(record.headers).get(name) or b"").decode()


class Reader:
    """A service that handles some versions; it knows no others."""

    def __init__(self, *kinds: type[Event]) -> None:
        self.harness, self.kinds = Harness(), kinds
        core = Core(Meter)

        @core.begins(*kinds)
        def read(meter: Meter | None, message: Event, context: Context) -> Decision[Meter]:
            meter = meter or Meter()
            return Decision(Meter(meter.count + 1, (*meter.received, type(message).__name__)))

        service = replace(
            meter_service({}, FakeGateway()), cores=[core], consumes={READINGS: kinds}, emits={}, gateways={}
        )
        self.harness.registry = HandlerRegistry(service)

    async def take(self, *records: BusRecord, monkeypatch: pytest.MonkeyPatch) -> Meter | None:
        with monkeypatch.context() as build:
            known = {(kind.type, kind.version): kind for kind in self.kinds}
            build.setattr("shared.contracts.envelope.MESSAGES", known)
            found = [inbound for record in records if (inbound := inbound_of(self.harness.registry, record))]
        for inbound in found:
            self.done = await self.harness.batch(inbound)
        return self.harness.meter("t-1")


async def test_a_decision_publishes_all_versions_that_are_listed_newest_first() -> None:
    records = await published(Read3(amount="7 kWh"), Read3, Read2, Read1)

    assert [(header(one, "ce_dataschema"), orjson.loads(one.value or b"")) for one in records] == [
        ("urn:orderbus:meter.read:3", {"amount": "7 kWh"}),
        ("urn:orderbus:meter.read:2", {"amount": 7, "unit": "kWh"}),
        ("urn:orderbus:meter.read:1", {"count": 7}),
    ]
    assert {header(one, "ce_versions") for one in records} == {"3,2,1"}
    assert len({(header(one, "ce_id"), header(one, "ce_sequence")) for one in records}) == 1


async def test_one_version_is_published_as_ever() -> None:
    (only,) = await published(Read3(amount="7 kWh"), Read3)
    assert header(only, "ce_versions") == ""


@pytest.mark.parametrize(
    ("kinds", "handled"),
    [((Read1,), "Read1"), ((Read2,), "Read2"), ((Read1, Read2), "Read2"), ((Read1, Read3), "Read3")],
    ids=["an old build", "a new build", "one that knows both", "one that knows the first and the last"],
)
async def test_each_reader_handles_the_newest_that_it_knows_once(
    kinds: tuple[type[Event], ...], handled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = await published(Read3(amount="7 kWh"), Read3, Read2, Read1)
    reader = Reader(*kinds)

    assert await reader.take(*records, *records, monkeypatch=monkeypatch) == Meter(1, (handled,))
    assert reader.harness.parked() == []


async def test_a_reader_that_is_upgraded_between_two_versions_handles_the_fact_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In whatever order its builds come, and wherever they stop to read."""
    newer, older = await published(Read2(amount=7, unit="kWh"), Read2, Read1)
    for first, then in (((Read1,), (Read1, Read2)), ((Read1, Read2), (Read1,))):
        before, after = Reader(*first), Reader(*then)
        after.harness.store = before.harness.store
        await before.take(newer, older, monkeypatch=monkeypatch)
        meter = await after.take(newer, older, monkeypatch=monkeypatch)

        assert meter is not None
        assert meter.count == 1
        assert after.done.reworded == []


@pytest.mark.parametrize(
    ("emits", "problem"),
    [
        ({READINGS: [Mute1, Mute2]}, "Mute2 does not say what it was earlier"),
        ({LATEST: [*meter_service({}, FakeGateway()).emits[LATEST], Latest2]}, "publish Latest2 on another topic"),
    ],
)
def test_versions_that_cannot_be_published_stop_the_start(emits: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        HandlerRegistry(replace(meter_service({}, FakeGateway()), emits=emits))
