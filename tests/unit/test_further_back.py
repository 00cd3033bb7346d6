"""Events that are further back than the window that was read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import pytest
from aiokafka import TopicPartition

from deploy.check import further_back
from deploy.check.book import Book, Wanted
from deploy.check.further_back import FurtherBack
from deploy.check.topics import Seen
from services.declared import declared
from shared.contracts.checkout import ORDERS, OrderCreated
from shared.settings import KafkaSettings
from shared.shell.service.registry import HandlerRegistry

BEGIN = datetime(2026, 3, 3, tzinfo=UTC)
PLACE = TopicPartition(ORDERS.name, 0)
SERVICES = {"checkout": HandlerRegistry(declared()["checkout"])}
HOURS = 24
"""The topic has an event for each: the first is of the first hour."""


class Log:
    """One partition: event `n` of order o-n was published n hours after the first."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        assert ORDERS.name in topics
        self.first: Mapping[TopicPartition, int] = {PLACE: 0}
        self.ends: Mapping[TopicPartition, int] = {PLACE: HOURS}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def offsets_at(self, at: datetime) -> dict[TopicPartition, int]:
        hours = int((at - BEGIN) / timedelta(hours=1)) + HOURS
        return {PLACE: min(max(hours, 0), self.ends[PLACE])}

    async def read(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Sequence[Any]]:
        offsets = range(starts[PLACE], self.ends[PLACE])
        READ.append(offsets)
        yield [Seen(ORDERS.name, f"o-{n}", UUID(int=n), OrderCreated, "checkout", 1, BEGIN) for n in offsets]


READ: list[range] = []


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    READ.clear()
    monkeypatch.setattr(further_back, "Topics", Log)
    monkeypatch.setattr(further_back, "read", lambda seen: seen)


async def looked(book: Book, window: int = 0) -> bool:
    back = FurtherBack(book, SERVICES, {PLACE: HOURS}, BEGIN, window)
    return await back.look(KafkaSettings(bootstrap_servers="none"), BEGIN + timedelta(hours=1))


def wanting(*keys: str) -> Book:
    book = Book(None)
    book.add_wanted(Wanted(key, "checkout", 1, False) for key in keys)
    return book


async def test_it_is_read_no_further_back_than_needed() -> None:
    book = wanting("o-20", "o-22")
    assert await looked(book)
    assert (list(book.wanted()), READ) == ([], [range(23, 24), range(22, 23), range(20, 22)])


async def test_what_is_nowhere_stays_wanted_once_all_was_read() -> None:
    book = wanting("o-23", "o-99")
    assert await looked(book)
    assert [one.key for one in book.wanted()] == ["o-99"]
    assert sum(map(len, READ)) == HOURS


async def test_it_is_said_when_all_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(further_back, "MOST", 5)
    book = wanting("o-0")
    assert not await looked(book)
    assert sum(map(len, READ)) <= 5
    assert await looked(book, window=HOURS), "as much as the window has is in proportion"
    assert list(book.wanted()) == []


async def test_nothing_is_read_where_nothing_is_wanted() -> None:
    assert await looked(Book(None))
    assert READ == []
