"""`orderbus top` finds every worker: each tells its group where its HTTP API is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.cli import top
from deploy.cli.top import Workers
from shared.settings import KafkaSettings
from shared.shell.kafka.group_members import addresses_of, members_of
from shared.shell.kafka.source import KafkaSource

GROUP = f"addresses-{os.getpid()}"
OTHERS = f"{GROUP}-others"
TOPIC = f"{GROUP}.v1"


@pytest_asyncio.fixture
async def settings(kafka_servers: str) -> AsyncIterator[KafkaSettings]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, 4, 1)])
    yield KafkaSettings(bootstrap_servers=kafka_servers)
    await admin.delete_topics([TOPIC])
    await admin.close()


async def member(settings: KafkaSettings, index: int, place: tuple[str, int] | None, group: str = GROUP) -> KafkaSource:
    source = KafkaSource(settings, group, f"{group}-{index}", [TOPIC])
    source.place = place
    await source.start()
    return source


async def test_each_worker_says_where_it_is(settings: KafkaSettings) -> None:
    first = await member(settings, 0, ("127.0.0.1", 8101))
    everywhere = await member(settings, 1, ("0.0.0.0", 8080))  # noqa: S104  # said, not bound
    older = await member(settings, 2, None)
    try:
        assert await addresses_of(settings, GROUP) == {
            f"{GROUP}-0": "http://127.0.0.1:8101",
            f"{GROUP}-1": "http://127.0.0.1:8080",
            f"{GROUP}-2": "",
        }
        assert await members_of(settings, GROUP) == [f"{GROUP}-{n}" for n in range(3)]

        await first.stop()
        first = await member(settings, 0, ("127.0.0.1", 8111))  # at once: it has its partitions as before
        assert (await addresses_of(settings, GROUP))[f"{GROUP}-0"] == "http://127.0.0.1:8111"
    finally:
        for source in (first, everywhere, older):
            await source.stop()


async def test_top_shows_those_that_run_and_services_that_say_nothing(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top, "SERVICES", (OTHERS, "payments-of-nobody"))
    known = {OTHERS: "http://balancer", "payments-of-nobody": "http://payments"}
    workers = Workers(known, settings)
    source = await member(settings, 0, ("127.0.0.1", 8101), OTHERS)
    try:
        assert await workers.now() == {"payments-of-nobody": "http://payments", f"{OTHERS}-0": "http://127.0.0.1:8101"}
    finally:
        await source.stop()


async def test_without_kafka_it_shows_what_is_configured() -> None:
    away = KafkaSettings(bootstrap_servers="127.0.0.1:9")
    assert await Workers({"checkout": "http://a"}, away).now() == {"checkout": "http://a"}
