"""Whatever a message is made of, and wherever it came from: it can be parked, and only a database that is away
holds that up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core import Outcome, Report, codec, derived_id, hashed_id
from shared.shell.inbound.message import Inbound, Meta, RecordSource, Undecodable
from shared.shell.inbound.parked_rows import bare_row, message_of, parked_row, record_of, shown
from shared.shell.inbound.records import inbound_of
from shared.shell.kafka.source import bus_record
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import OperationRow, TimerRow
from shared.shell.ports.store import BatchRefused, StoreUnavailable
from shared.simulation.memory_database import PARKED
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import Call, Count, Late
from tests.unit.shell.test_batcher import failing

ID = derived_id(hashed_id("a test"), 1, START)
names = st.binary(max_size=20).map(lambda name: name.decode("utf-8", "surrogateescape"))
headers = st.lists(st.tuples(names | st.sampled_from(["ce_type", "ce_id"]), st.none() | st.binary(max_size=40)))
records = st.builds(
    BusRecord,
    st.just("meter.commands.v1"),
    st.integers(0, 5),
    st.integers(0, 2**62),
    st.none() | st.binary(max_size=40) | st.just(b"t-1"),
    headers.map(tuple),
    st.none() | st.binary(max_size=40),
    st.just(START),
    st.just("") | st.text(),
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep

    async def at_once(seconds: float, result: Any = None) -> Any:
        return await sleep(0, result)

    monkeypatch.setattr("shared.shell.batch.batcher.asyncio.sleep", at_once)


def storable(row: Any) -> bool:
    texts = (row.key, row.origin, row.kind, row.topic, row.reason, row.error)
    return all("\x00" not in text and text.encode() is not None for text in texts)


@given(record=records)
@settings(max_examples=500, deadline=None)
def test_any_record_is_parked_and_comes_back_byte_by_byte(record: BusRecord) -> None:
    inbound = inbound_of(Harness().registry, record)
    assert inbound is not None
    row = parked_row(inbound, "failed", "why", START)
    assert storable(row)
    assert shown(row)
    if record.unreadable:
        assert (row.origin, row.topic, row.partition, row.offset) == ("place", *record_place(record))
    else:
        assert record_of(row) == record


def record_place(record: BusRecord) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


@given(key=st.text(), kind=st.text(), error=st.text(max_size=3000))
@settings(max_examples=300, deadline=None)
def test_the_last_resort_takes_any_text(key: str, kind: str, error: str) -> None:
    for key_ in (key, key + "\x00", key + "\ud800"):
        inbound = Inbound(ID, key_, Undecodable(kind + "\x00\ud800", error), Meta())
        assert storable(bare_row(inbound, error + "\x00\udcff", START))


class Odd(Report):
    text: str = "\ud800"


class OddOutcome(Outcome):
    text: str = "\ud800"


def row(payload: Any = b"{}") -> OperationRow:
    return OperationRow(
        ID, "t-1", "Call", payload, Meta().dump(), START, START, "gateway", lease=1, leased_by="meter-0"
    )


RECORD = RecordSource("meter.commands.v1", 2, 7, b"\xff\x00", (("a\udcff", None),), None)
ORIGINS = {
    "a record": Inbound(ID, "t-1", Undecodable("\x00", "no"), Meta(), RECORD),
    "a record with a key that no database takes": Inbound(ID, "t\x00", Undecodable("x", "no"), Meta(), RECORD),
    "a report that is no JSON": Inbound(ID, "t-1", Odd(), Meta()),
    "a report with such a key": Inbound(ID, "t\x00\ud800", Odd("x"), Meta()),
    "a report with such a store": Inbound(ID, "t-1", Odd("x"), Meta(store="\ud800")),
    "an outcome that is no JSON": Inbound(ID, "t-1", OddOutcome(), Meta(), operation=(row(), Call("x"))),
    "an outcome of an operation read from the database": Inbound(
        ID, "t-1", Call.Done(), Meta(), operation=(row("{}"), Call("x"))
    ),
    "a timer": Inbound(ID, "t-1", Late(), Meta(), timer=TimerRow("t-1", "late", START, "Late", b"{}", b"[]", ID)),
}


@pytest.mark.parametrize("origin", ORIGINS)
async def test_every_origin_is_parked(origin: str) -> None:
    harness, inbound = Harness(), ORIGINS[origin]
    async with harness.store.begin() as tx:
        if inbound.operation:
            await tx.request([inbound.operation[0]])
        if inbound.timer:
            await tx.set_timers([inbound.timer], [])
    harness.registry._handlers.clear()  # nothing can be decided here

    await asyncio.wait_for(harness.batcher().handle([inbound]), 5)

    (parked,) = await harness.store.parked()
    assert storable(parked)
    assert (parked.message_id, parked.reason) == (ID, "failed")
    if inbound.record:
        assert (parked.topic, parked.partition, parked.offset) == (RECORD.topic, RECORD.partition, RECORD.offset)
    if inbound.operation or inbound.timer:
        assert not harness.open_operations()
        assert not harness.timers()


def test_a_parked_outcome_comes_back_with_the_number_of_calls() -> None:
    """What was tried can be read from the retried outcome, too."""
    operation = (replace(row(codec.dump(Call("x"))), attempts=7), Call("x"))
    inbound = Inbound(ID, "t-1", Call.Done(), Meta(), operation=operation)

    again = message_of(Harness().registry, parked_row(inbound, "failed", "a bug", START))

    assert again.operation is not None
    assert again.operation[0].attempts == 7


@pytest.mark.parametrize("error", [BatchRefused("22021"), RuntimeError("a bug")])
async def test_what_the_database_refuses_to_park_whole_is_noted_by_its_place(error: Exception) -> None:
    harness = Harness()
    harness.store.pause = failing(2, error, at="park")  # as part of its batch, and alone
    await harness.batcher().handle([harness.record("t-1", Undecodable("x", "cannot be read"))])
    (parked,) = await harness.store.parked()
    assert (parked.origin, parked.key, parked.body, parked.topic) == ("place", "t-1", None, "meter.commands.v1")
    assert "cannot be read" in parked.error


async def test_only_a_database_that_is_away_holds_it_up_and_not_for_good() -> None:
    harness = Harness()
    harness.store.pause = failing(5, StoreUnavailable("gone"), at="park")
    await harness.batcher().handle([harness.record("t-1", Undecodable("x", "cannot be read"))])
    assert [kept.origin for kept in harness.store.rows(PARKED).values()] == ["record"]


async def test_what_comes_later_for_the_key_of_a_message_noted_by_its_place_waits_behind_it() -> None:
    harness = Harness()
    harness.store.pause = failing(2, BatchRefused("22021"), at="park")
    await harness.batcher().handle([harness.record("t-1", Undecodable("x", "cannot be read"))])
    await harness.batcher().handle([harness.record("t-1", Count())])
    assert harness.parked() == [("t-1", "failed"), ("t-1", "behind")]


def test_a_time_that_cannot_be_is_no_obstacle() -> None:
    for at in (-1, None, 2**62, -(2**62)):
        record = ConsumerRecord("t", 0, 1, at, 0, b"k", b"v", None, 1, 1, ())
        assert (
            datetime(1970, 1, 1, tzinfo=UTC) <= bus_record(record).at <= datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
        )
