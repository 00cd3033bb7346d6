"""Why calls wait, as the gateway reads it from the service's own operations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.fulfillment.domain.waiting_calls import ReadWaitingCalls
from services.fulfillment.gateways.waiting_calls import WaitingCalls
from shared.core import NotTried
from shared.core.ids import NIL
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.waiting import Waiting

ASKED = ReadWaitingCalls("o-1", 1)
AT = datetime(2026, 1, 1, tzinfo=UTC)


def call(operation: dict[str, Any], error: str = "", paused: str = "") -> Waiting:
    return Waiting(NIL, "o-1", "CallHttpAction", "x", AT, 0, error, AT, False, False, paused, (), operation)


async def test_the_reason_of_each_execution_is_told_and_a_pause_first() -> None:
    async def waiting(order: str) -> Sequence[Waiting]:
        assert order == "o-1"
        return [
            call({"item": "1"}, error="time-out", paused="The store's secret a is not set."),
            call({"item": "1/2"}, error="The server is offline."),
            call({"item": "2"}),
            call({"order": "o-1", "looks": 1}, error="about the order, not an item"),
        ]

    said = await WaitingCalls(waiting).perform(ASKED, "k")
    reasons = (("1", "The store's secret a is not set."), ("1/2", "The server is offline."))
    assert said == ReadWaitingCalls.Done(reasons, paused=("1",))


async def test_a_database_that_does_not_answer_is_asked_again() -> None:
    async def waiting(order: str) -> Sequence[Waiting]:
        raise StoreUnavailable("x")

    assert isinstance(await WaitingCalls(waiting).perform(ASKED, "k"), NotTried)
