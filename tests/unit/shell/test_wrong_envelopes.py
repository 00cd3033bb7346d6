"""Commands whose key or headers are wrong: their sender is answered, and corrected ones need not wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from shared.core import derived_id, hashed_id
from shared.core.fast_dataclasses import replace
from shared.shell.inbound import records
from shared.shell.inbound.message import Undecodable
from shared.shell.parking import Parking
from shared.shell.ports.bus import BusRecord
from tests.unit.shell.harness import START, Harness
from tests.unit.shell.meter import COMMANDS, Count, Counted, Meter, MeterRefused
from tests.unit.shell.test_records import read, record
from tests.unit.shell.test_unknown_messages import count, take

RANDOM = str(uuid4())
"""What is no id of a message: it tells no time."""


def refusals(harness: Harness, key: str | None = None) -> list[MeterRefused]:
    return [event for event in harness.events(key) if isinstance(event, MeterRefused)]


def fields(refused: MeterRefused) -> list[tuple[str, str]]:
    return [(problem.field, problem.code) for problem in refused.problems]


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"ce_id": RANDOM.encode()}, "ce_id", "wrong_format"),
        ({"ce_id": None}, "ce_id", "missing"),
        ({"ce_specversion": b"0.3"}, "ce_specversion", "not_one_of"),
        ({"ce_source": b"x" * 300}, "ce_source", "too_long"),
        ({"ce_time": b"yesterday"}, "ce_time", "wrong_format"),
        ({"ce_store": b"\xff"}, "ce_store", "wrong_format"),
        ({"ce_subject": b"t-2"}, "ce_subject", "wrong_format"),
        ({"ce_type": None}, "ce_type", "missing"),
        ({"ce_type": b"meter.counted", "ce_dataschema": None}, "ce_type", "other_topic"),
    ],
)
async def test_a_wrong_header_is_answered_and_what_follows_is_handled(
    changes: dict[str, bytes | None], field: str, code: str
) -> None:
    harness = Harness()
    await take(harness, record(Count(), COMMANDS, **changes), record(Count(), COMMANDS))

    (refused,) = refusals(harness, "t-1")
    assert (refused.code, fields(refused)) == ("malformed", [(field, code)])
    assert harness.meter("t-1") == Meter(1)
    assert harness.parked() == []
    assert count(harness, "refused") == 1


def id_of(at: datetime) -> bytes:
    return str(derived_id(hashed_id("a message of its own time"), 1, at)).encode()


class TestTimes:
    """`record` is published at START."""

    @pytest.mark.parametrize(
        "at",
        [
            datetime(2000, 1, 1, tzinfo=UTC),
            START - timedelta(days=30),
            START - timedelta(days=8),
            START + timedelta(hours=14),
        ],
        ids=["the year 2000", "of an order of last month", "a late retry", "a clock in another time zone"],
    )
    async def test_an_early_id_or_one_of_a_clock_that_is_ahead_is_accepted_once(self, at: datetime) -> None:
        harness = Harness()
        sent = record(Count(), COMMANDS, ce_id=id_of(at), ce_time=at.isoformat().encode())
        await take(harness, sent, sent)
        assert (refusals(harness), harness.meter("t-1")) == ([], Meter(1))

    @pytest.mark.parametrize(
        "ce_id", [datetime(2090, 1, 1, tzinfo=UTC), START + timedelta(hours=40)], ids=["2090", "a clock that is wrong"]
    )
    @pytest.mark.parametrize(
        "published", [START, datetime(1970, 1, 21, tzinfo=UTC), START - timedelta(days=2)], ids=str
    )
    async def test_one_of_the_future_is_accepted_once_whenever_it_was_published(
        self, ce_id: datetime, published: datetime
    ) -> None:
        """An earlier build accepted it, and it may be read again by this one."""
        harness = Harness()
        sent = replace(record(Count(), COMMANDS, ce_id=id_of(ce_id), ce_time=ce_id.isoformat().encode()), at=published)
        await take(harness, sent, sent)
        assert (refusals(harness), harness.meter("t-1")) == ([], Meter(1))

    async def test_a_record_that_tells_no_time_of_its_own_is_no_measure(self) -> None:
        harness = Harness()
        await take(harness, replace(record(Count(), COMMANDS), at=datetime(1970, 1, 1, tzinfo=UTC)))
        assert (refusals(harness), harness.meter("t-1")) == ([], Meter(1))

    async def test_what_another_service_sent_is_accepted(self) -> None:
        """An effect has the time of its cause, which an earlier build may have accepted."""
        harness = Harness()
        source = sorted(harness.registry.siblings)[0].encode()
        await take(harness, record(Count(), COMMANDS, ce_id=id_of(datetime(2090, 1, 1, tzinfo=UTC)), ce_source=source))
        assert (refusals(harness), harness.meter("t-1")) == ([], Meter(1))

    def test_it_happened_before_it_was_published_whatever_its_sender_says(self) -> None:
        """By this a decision that is made again after a restore knows that the provider may have forgotten its key."""
        harness = Harness()
        ahead, early = START + timedelta(hours=20), START - timedelta(days=3)
        for said, occurred in ((ahead, START), (early, early)):
            inbound = read(harness, record(Count(), COMMANDS, ce_time=said.isoformat().encode()))
            assert inbound is not None and inbound.occurred == occurred


async def test_the_sender_finds_the_answer_by_the_id_that_it_gave() -> None:
    harness = Harness()
    wrong = record(Count(), COMMANDS, ce_id=RANDOM.encode(), ce_store=b"north", ce_actor=b"staff:anna")
    await take(harness, wrong)

    (sent,) = harness.sent("t-1")
    assert (sent.message.command, sent.message.command_id) == ("meter.count", RANDOM)
    envelope = sent.envelope
    assert (envelope.causation_id, envelope.correlation_id) == (RANDOM, RANDOM)
    assert (envelope.store, envelope.actor, envelope.sequence) == ("north", "staff:anna", 0)


async def test_headers_and_body_are_refused_at_once() -> None:
    harness = Harness()
    await take(harness, record(Count(), COMMANDS, b'{"what": 1, "more": 2}', ce_id=b"17", ce_time=b"now"))

    (refused,) = refusals(harness)
    assert [field for field, _ in fields(refused)] == ["ce_id", "ce_time", "what", "more"]


@pytest.mark.parametrize(("key", "code"), [(b"t 1", "wrong_format"), (b"", "missing"), (b"\xff", "wrong_format")])
async def test_a_wrong_key_is_answered_under_the_records_place(key: bytes, code: str) -> None:
    harness, good = Harness(), record(Count(), COMMANDS, ce_subject=None)
    wrong = replace(good, key=key)
    await take(harness, wrong)

    (sent,) = harness.sent()
    assert sent.envelope.subject == "meter.commands.v1/0/7"
    assert sent.message.command_id == dict(good.headers)["ce_id"].decode()  # type: ignore[union-attr]
    assert fields(sent.message) == [("key", code)]
    assert harness.parked() == []


async def test_it_is_refused_once_however_often_it_is_read() -> None:
    harness, wrong = Harness(), record(Count(), COMMANDS, ce_id=b"17")
    await take(harness, wrong, wrong)
    await take(harness, wrong)
    assert len(refusals(harness)) == 1


async def test_what_has_neither_key_nor_type_is_parked_and_holds_nothing_up() -> None:
    harness = Harness()
    nothing = replace(record(Count(), COMMANDS, ce_type=b"\xff"), key=b"t 1")
    await take(harness, nothing, record(Count(), COMMANDS))

    assert harness.parked() == [("meter.commands.v1/0/7", "failed")]
    assert harness.events("t-1") == [Counted(count=1)]


async def test_what_an_earlier_build_parked_is_refused_when_it_is_tried_again() -> None:
    harness = Harness()
    wrong: BusRecord = record(Count(), COMMANDS, ce_id=b"17")
    inbound = read(harness, wrong)
    assert inbound is not None
    await harness.batch(replace(inbound, message=Undecodable("meter.count", "header ce_id: is not a UUID")))
    assert harness.parked() == [("t-1", "failed")]

    released = await Parking(harness.registry, harness.store, harness.batcher(), harness.clock).retry("t-1")

    assert (released.handled, released.error) == (1, "")
    assert harness.parked() == []
    assert count(harness, "refused") == 1


def test_a_bug_in_looking_for_what_else_is_wrong_parks_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(kind: object, body: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(records, "decode", decode)
    inbound = read(Harness(), record(Count(), COMMANDS, ce_id=RANDOM.encode()))
    assert inbound is not None and isinstance(inbound.message, Undecodable)
