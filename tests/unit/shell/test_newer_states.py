"""States that a newer build has written: what this build does not know is kept; what it cannot read waits for the newer
build, and holds up its own key only."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest
from structlog.testing import capture_logs

from shared.contracts.envelope import Envelope, encode, to_headers
from shared.core import Decision, Message, Refused, codec, derived_id
from shared.shell.inbound.message import Inbound, Undecodable
from shared.shell.inbound.records import inbound_of
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import NEWER, StateRow, TimerRow
from shared.shell.ports.store import StoreUnavailable
from shared.simulation.memory_database import OUTBOX, Stored
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import COMMANDS, NOTICES, Count, Meter, Noticed, Total, meters, totals
from tests.unit.shell.test_records import read, record

ANOTHER = 7
"""The shape of some other build."""


def store(harness: Harness, key: str, data: Any, table: Any = meters, shape: int = ANOTHER) -> None:
    """As another build leaves a row."""
    rows = harness.store.rows(table.table.name)
    version = rows[key].row.version + 1 if key in rows else 1
    sequence = rows[key].row.sequence if key in rows else 0
    rows[key] = Stored(StateRow(key, version, sequence, orjson.dumps(data), shape), {}, harness.clock.at)


def stored(harness: Harness, key: str, table: Any = meters) -> tuple[Any, int]:
    row = harness.store.states(table)[key].row
    return orjson.loads(row.data or b"null"), row.shape


def sent(harness: Harness, key: str, message: Message) -> Inbound:
    """As it comes by Kafka, to be read again as often as it takes."""
    harness.numbers += 1
    id = derived_id(UUID(int=1), harness.numbers, START)
    headers = tuple(to_headers(Envelope(id, type(message).type, "shop", key, START)))
    found = BusRecord(COMMANDS.name, 0, harness.numbers, key.encode(), headers, encode(message), START)
    inbound = inbound_of(harness.registry, found)
    assert inbound is not None
    return inbound


async def taken_up(harness: Harness) -> int:
    return await Parking(harness.registry, harness.store, harness.batcher(), harness.clock).take_up()


class TestUnknownFields:
    async def test_they_stay_whatever_is_decided(self) -> None:
        harness = Harness()
        store(harness, "t-1", {"count": 4, "colour": "red"})
        await harness.counts("t-1", "one more", "one more")

        assert stored(harness, "t-1") == ({"count": 6, "received": [], "colour": "red"}, 0)
        await harness.counts("t-1")
        assert stored(harness, "t-1") == ({"count": 7, "received": [], "colour": "red"}, 0)

    async def test_they_stay_where_the_state_is_cached(self) -> None:
        harness = Harness()
        store(harness, "t-1", {"count": 4, "colour": "red"})
        batcher = harness.batcher()
        for _ in range(3):
            await batcher.handle([harness.message("t-1", Count())])

        assert stored(harness, "t-1") == ({"count": 7, "received": [], "colour": "red"}, 0)

    async def test_what_the_newer_build_changed_meanwhile_is_seen(self) -> None:
        harness = Harness()
        store(harness, "t-1", {"count": 4, "colour": "red"})
        batcher = harness.batcher()
        await batcher.handle([harness.message("t-1", Count())])
        store(harness, "t-1", {"count": 5, "colour": "blue", "size": 3})
        await batcher.handle([harness.message("t-1", Count())])

        assert stored(harness, "t-1") == ({"count": 6, "received": [], "colour": "blue", "size": 3}, 0)

    async def test_they_stay_in_other_rows_that_a_decision_changes(self) -> None:
        harness = Harness()
        store(harness, "all", {"sum": 1, "unit": "kWh"}, totals)
        await harness.counts("t-1", totals=("all",))

        assert stored(harness, "all", totals) == ({"sum": 2, "unit": "kWh"}, 0)

    async def test_a_refusal_keeps_them(self) -> None:
        harness = Harness()
        store(harness, "t-1", {"count": 4, "colour": "red"})
        harness.when("no", Refused("no", "No."))
        await harness.batch(sent(harness, "t-1", Count(what="no")))

        assert stored(harness, "t-1") == ({"count": 4, "colour": "red"}, 0)

    async def test_a_row_of_another_build_without_any_becomes_ours(self) -> None:
        harness = Harness()
        store(harness, "t-1", {"count": 4, "received": []})
        await harness.counts("t-1")

        assert stored(harness, "t-1") == ({"count": 5, "received": []}, codec.shape_of(Meter))

    async def test_a_row_of_an_older_build_becomes_ours(self) -> None:
        harness = Harness()
        store(harness, "t-1", {"count": 4})
        batcher = harness.batcher()
        await batcher.handle([harness.message("t-1", Count())])

        assert stored(harness, "t-1") == ({"count": 5, "received": []}, codec.shape_of(Meter))

    async def test_a_row_of_our_own_is_read_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the ordinary case nothing is parsed twice."""
        harness = Harness()
        await harness.counts("t-1")
        monkeypatch.setattr("shared.shell.batch.rows.carried", None)
        await harness.counts("t-1")

        assert stored(harness, "t-1") == ({"count": 2, "received": []}, codec.shape_of(Meter))


BEYOND = {"count": "many", "received": []}
"""What this build cannot read."""


class TestUnreadableStates:
    async def test_what_comes_for_one_waits_and_holds_up_its_own_key_only(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        with capture_logs() as told:
            batcher = harness.batcher()
            await batcher.handle([sent(harness, "t-1", Count()), sent(harness, "t-2", Count())])
            await batcher.handle([sent(harness, "t-1", Count())])

        assert harness.parked() == [("t-1", NEWER), ("t-1", NEWER)]
        assert stored(harness, "t-1") == (BEYOND, ANOTHER)
        assert harness.meter("t-2") == Meter(1)
        assert [one["event"] for one in told] == ["message waits for a newer build"] * 2
        assert [row.topic for row, _ in harness.store.rows(OUTBOX).values()] == ["meter.events.v1"]

    async def test_it_is_counted_apart_from_what_is_parked(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        harness.when("boom", ValueError("boom"))
        await harness.batch(*(sent(harness, "t-1", Count()) for _ in range(2)))
        await harness.batch(sent(harness, "t-2", Count(what="boom")))

        sizes = await harness.store.gauge()
        assert (sizes["waiting_for_newer"], sizes["parked"]) == (2, 1)

    async def test_this_build_leaves_it_alone(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        await harness.batch(*(sent(harness, "t-1", Count()) for _ in range(2)))
        parking = Parking(harness.registry, harness.store, harness.batcher(), harness.clock)
        before = harness.everything()

        assert [await parking.take_up() for _ in range(3)] == [0, 0, 0]
        assert harness.everything() == before
        assert (await parking.retry("t-1")).waits
        assert harness.parked() == [("t-1", NEWER), ("t-1", NEWER)]

    async def test_a_newer_build_takes_it_up_in_order(self) -> None:
        harness = Harness()
        harness.when("note", lambda meter, message, _: Decision(Meter(meter.count, (*meter.received, *message.seen))))
        store(harness, "t-1", BEYOND)
        await harness.batch(*(sent(harness, "t-1", Count(what="note", seen=(name,))) for name in "abc"))
        store(harness, "t-1", {"count": 3, "received": []})

        assert await taken_up(harness) == 3
        assert (harness.meter("t-1"), harness.parked()) == (Meter(3, ("a", "b", "c")), [])

    async def test_outcomes_and_timers_wait_too(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        row = TimerRow(
            "t-1", "Late", harness.clock.at, "Late", b'{"text":"late"}', b'["","","",""]', harness.message("x", 1).id
        )
        harness.store.rows("timers")["t-1", "Late"] = row
        await harness.batch(harness.due(row))
        assert (harness.parked(), harness.timers()) == ([("t-1", NEWER)], {})

        store(harness, "t-1", {"count": 3, "received": []})
        assert await taken_up(harness) == 1
        assert (harness.meter("t-1"), harness.parked()) == (Meter(3, ("late",)), [])

    async def test_another_row_that_cannot_be_read_makes_the_message_wait(self) -> None:
        harness = Harness()
        store(harness, "all", {"sum": "much"}, totals)
        await harness.batch(sent(harness, "t-1", Count(totals=("all",))), sent(harness, "t-2", Count()))
        assert (harness.parked(), harness.meter("t-1"), harness.meter("t-2")) == ([("t-1", NEWER)], None, Meter(1))

        store(harness, "all", {"sum": 8}, totals)
        assert await taken_up(harness) == 1
        assert (harness.total("all"), harness.meter("t-1")) == (9, Meter(1))

    async def test_who_asks_by_http_is_told_and_may_ask_again(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        inbound = harness.message("t-1", Count(), reply=asyncio.get_running_loop().create_future())
        done = await harness.batch(inbound)

        ((_, said),) = done.replies
        assert isinstance(said, Refused)
        assert (said.code, harness.parked()) == ("newer", [])
        store(harness, "t-1", {"count": 3, "received": []})
        assert (await harness.batch(inbound)).handled == 1

    async def test_one_of_our_own_shape_is_damaged_and_parked(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND, shape=codec.shape_of(Meter))
        await harness.batch(sent(harness, "t-1", Count()))

        assert harness.parked() == [("t-1", "failed")]

    async def test_a_database_that_is_away_for_a_moment_makes_nothing_fail(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        await harness.batch(sent(harness, "t-1", Count()))
        store(harness, "t-1", {"count": 3, "received": []})

        async def away(statement: str) -> None:
            if statement == "load":
                raise StoreUnavailable("away")

        with monkeypatch.context() as trouble:
            trouble.setattr(harness.store, "pause", away)
            assert await taken_up(harness) == 0
        assert harness.parked() == [("t-1", NEWER)]
        assert await taken_up(harness) == 1

    async def test_what_fails_in_the_newer_build_is_parked_for_staff(self) -> None:
        harness = Harness()
        store(harness, "t-1", BEYOND)
        await harness.batch(sent(harness, "t-1", Count(what="boom")), sent(harness, "t-1", Count()))
        store(harness, "t-1", {"count": 3, "received": []})
        harness.when("boom", ValueError("boom"))

        assert await taken_up(harness) == 0
        assert harness.parked() == [("t-1", "failed"), ("t-1", NEWER)]
        assert await harness.store.waiting_for_newer(10) == []


class TestUnreadableEvents:
    """An event of a known type, with values that only a newer build knows."""

    def event(self, harness: Harness, source: str) -> Inbound:
        inbound = read(harness, record(Noticed(), NOTICES, b'{"text":{"en":"noticed"}}', ce_source=source.encode()))
        assert inbound is not None
        assert isinstance(inbound.message, Undecodable)
        return inbound

    async def test_our_own_service_s_waits(self) -> None:
        harness = Harness()
        await harness.batch(
            self.event(harness, "other"), harness.message("t-1", Count()), harness.message("t-2", Count())
        )

        assert harness.parked() == [("t-1", NEWER), ("t-1", NEWER)]
        assert await taken_up(harness) == 0
        assert harness.parked() == [("t-1", NEWER), ("t-1", NEWER)]

    async def test_another_system_s_is_parked(self) -> None:
        harness = Harness()
        await harness.batch(self.event(harness, "shop"))

        assert harness.parked() == [("t-1", "failed")]


def test_shapes_differ_by_what_they_can_contain() -> None:
    assert codec.shape_of(Meter) == codec.shape_of(Meter)
    assert codec.shape_of(Meter) != codec.shape_of(Total)
