"""What the check makes of the records that it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from aiokafka import TopicPartition

from deploy.check.book import Book
from deploy.check.databases import Database
from deploy.check.records import Records
from deploy.check.topics import Topics
from services.declared import declared
from shared.contracts.checkout import ORDERS
from shared.shell.service.registry import HandlerRegistry
from tests.unit.checkout.examples import START

PLACE = TopicPartition(ORDERS.name, 0)


class Inbox:
    """Of a service that has handled everything."""

    def __init__(self, name: str) -> None:
        self.registry = HandlerRegistry(declared()[name])

    async def missing(self, identities: Sequence[UUID]) -> set[UUID]:
        return set()


class Log:
    """One partition, which is read at once."""

    def __init__(self, *records: object) -> None:
        self.ends, self._records = {PLACE: len(records)}, records

    async def read(self, starts: Mapping[TopicPartition, int]) -> AsyncIterator[Sequence[Any]]:
        yield self._records


def record(type: str) -> Any:
    headers = (("ce_type", type.encode()), ("ce_id", b"garbage"))
    return SimpleNamespace(
        topic=ORDERS.name, partition=0, offset=0, key=b"k", value=b"\xff", headers=headers, timestamp=0
    )


@pytest.mark.parametrize(
    ("type", "handled"), [("order.placed", True), ("x.y", True), ("order.created", False), ("checkout.refused", False)]
)
async def test_garbage_that_no_service_handles_and_so_none_has_parked_is_said_to_be(type: str, handled: bool) -> None:
    services = cast("Mapping[str, Database]", {name: Inbox(name) for name in declared()})
    records = Records(Book(None), services, START)
    await records.read(cast(Topics, Log(record(type))), {PLACE: 0})
    (named,) = records.unreadable
    assert named.endswith(" (no service handles it)") is not handled
