"""What only a newer build knows: its events are skipped and counted, its commands refused; nothing is parked."""

from __future__ import annotations

import random
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.contracts import TOPICS, published
from shared.core import Command, Event, Message, Topic
from shared.shell.inbound.message import UnknownCommand
from shared.shell.ports.bus import BusRecord
from shared.shell.reader import Reader
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import COMMANDS, NOTICES, Count, Counted, Meter, MeterRefused, Noticed
from tests.unit.shell.test_records import read, record


class Muddle(Command, type="meter.muddle", topic=COMMANDS):
    """Known, and handled by no service."""


async def take(harness: Harness, *records: BusRecord) -> None:
    """As they come from Kafka."""
    batcher = harness.batcher()
    no_source: Any = None
    reader = Reader(harness.registry, no_source, harness.store, batcher, harness.metrics, 100, random.Random(1))
    await reader._take(records)
    inbounds, marks = batcher._take()
    if inbounds:
        await batcher.handle(inbounds)
    assert marks


def count(harness: Harness, name: str) -> float:
    labels = {"service": "meter", "worker": "meter-0"}
    return harness.metrics.registry.get_sample_value(f"orderbus_{name}_total", labels) or 0.0


def of(message: Message, topic: Topic, type: str, version: int = 1) -> BusRecord:
    schema = f"urn:orderbus:{type}:{version}".encode()
    return record(message, topic, ce_type=type.encode(), ce_dataschema=schema)


UNHEARD = of(Noticed(), NOTICES, "other.unheard")
NEWER = of(Noticed(), NOTICES, "other.noticed", 2)


@pytest.mark.parametrize("newer", [UNHEARD, NEWER], ids=["a type", "a version"])
async def test_an_unknown_event_is_skipped_and_holds_nothing_up(newer: BusRecord) -> None:
    harness = Harness()
    await take(harness, newer, record(Noticed(), NOTICES))

    assert harness.parked() == []
    assert harness.meter("t-1") == Meter(received=("noticed",))
    assert (count(harness, "unknown_events"), count(harness, "skipped")) == (1, 1)


async def test_the_log_tells_of_each_unknown_type_and_version_once() -> None:
    harness = Harness()
    with capture_logs() as told:
        await take(harness, UNHEARD, UNHEARD, NEWER, UNHEARD)

    assert [(one["type"], one["version"]) for one in told if one["event"] == "unknown event skipped"] == [
        ("other.unheard", 1),
        ("other.noticed", 2),
    ]
    assert count(harness, "unknown_events") == 4


@pytest.mark.parametrize(
    ("newer", "type", "version"),
    [
        (of(Count(), COMMANDS, "meter.wind_back"), "meter.wind_back", 1),
        (of(Count(), COMMANDS, "meter.count", 2), "meter.count", 2),
        (record(Muddle(), COMMANDS), "meter.muddle", 1),
    ],
    ids=["a type", "a version", "one that no core handles"],
)
async def test_an_unknown_command_is_refused(newer: BusRecord, type: str, version: int) -> None:
    harness = Harness()
    inbound = read(harness, newer)
    assert inbound is not None
    assert inbound.message == UnknownCommand(type, version)

    await take(harness, newer)
    await harness.counts("t-1")

    refused, counted = harness.sent("t-1")
    assert refused.message == MeterRefused(
        command=type,
        command_id=str(inbound.id),
        code="unknown_command",
        text=f"meter knows no command {type}, version {version}.",
    )
    assert (refused.envelope.sequence, refused.envelope.actor, refused.envelope.causation_id) == (
        0,
        "system",
        str(inbound.id),
    )
    assert (counted.message, counted.envelope.sequence) == (Counted(count=1), 1)
    assert harness.parked() == []
    assert count(harness, "refused") == 1


async def test_an_unknown_command_is_refused_once_however_often_it_comes() -> None:
    harness, newer = Harness(), of(Count(), COMMANDS, "meter.wind_back")
    await take(harness, newer, newer)
    await take(harness, newer)

    assert len(harness.events("t-1")) == 1
    assert count(harness, "duplicates") == 2


async def test_any_name_of_a_type_is_harmless() -> None:
    """It goes into the event that refuses it."""
    harness = Harness()
    await take(harness, record(Count(), COMMANDS, ce_type=("x" * 256).encode(), ce_dataschema=None))

    (refused,) = harness.events("t-1")
    assert isinstance(refused, MeterRefused)
    assert refused.command == "x" * 80


def test_events_and_commands_do_not_share_a_topic() -> None:
    """By its topic an unknown type is known to be the one or the other."""
    for topic in TOPICS:
        kinds = {issubclass(kind, Event) for kind in published() if kind.topic == topic}
        assert len(kinds) == 1, topic.name
