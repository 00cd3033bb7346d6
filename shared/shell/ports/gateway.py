"""What performs the operations of a service: one outside system, behind a closed set of answers."""

from __future__ import annotations

from typing import Any, Protocol

from shared.core import NoOutcome, NotDone, Outcome


class Gateway(Protocol):
    """One outside system. `key` is the operation's idempotency key, stable over all attempts.

    Never raises for what the outside does; what it raises is our bug and counts as `Unknown`.
    """

    async def perform(self, operation: Any, key: str) -> Outcome | NoOutcome: ...

    async def find(self, operation: Any, key: str) -> Outcome | NotDone | NoOutcome:
        """The outcome of an earlier attempt whose answer never arrived, by the provider's own records. `NotDone` only
        where they say so for certain; then the operation is no longer in doubt. Where they cannot be asked: `Unknown`.
        Not called for operations that are safe to repeat, as long as their key lives."""
        ...
