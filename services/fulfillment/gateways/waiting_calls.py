"""Why an order's calls have no outcome yet, read from the service's own database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from services.fulfillment.domain.waiting_calls import ReadWaitingCalls
from shared.core import NoOutcome, NotDone, NotTried, Outcome
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.waiting import Waiting


class WaitingCalls:
    """Gateway of ReadWaitingCalls. `waiting`: what waits for an order. Raises StoreUnavailable."""

    def __init__(self, waiting: Callable[[str], Awaitable[Sequence[Waiting]]]) -> None:
        self._waiting = waiting

    async def perform(self, operation: ReadWaitingCalls, key: str) -> Outcome | NoOutcome:
        try:
            calls = await self._waiting(operation.order)
        except StoreUnavailable:
            return NotTried("The fulfillment database does not answer.")
        reasons = {
            str(call.operation["item"]): call.paused or call.error
            for call in calls
            if "item" in call.operation and (call.paused or call.error)
        }
        paused = tuple(str(call.operation["item"]) for call in calls if "item" in call.operation and call.paused)
        return ReadWaitingCalls.Done(tuple(reasons.items()), paused)

    async def find(self, operation: ReadWaitingCalls, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()

    async def close(self) -> None:
        """Holds nothing."""
