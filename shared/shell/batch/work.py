"""One message of a batch, and what it needs to be decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.core import Handling, Question, Ref
from shared.shell.inbound.message import Inbound, Malformed, Repeated


@dataclass(slots=True)
class Work:
    """One message to be decided, and the rows and answers that it needs."""

    inbound: Inbound
    handling: Handling | None
    own: Ref[Any] | None
    """The row that the message is about; None for what cannot be read."""
    locks: tuple[Ref[Any], ...] = ()
    reads: tuple[Ref[Any], ...] = ()
    asks: tuple[Question, ...] = ()

    def name_rows(self, state: Any) -> None:
        """Ask the handler for the other rows, now that the state is known."""
        message, key, handling = self.inbound.message, self.inbound.key, self.handling
        if isinstance(message, Malformed) and message.readable:
            message = message.readable.message
        if handling is None or isinstance(message, Malformed | Repeated):
            return
        if handling.locks:
            self.locks = tuple(handling.locks(message, key, state))
        if handling.reads:
            self.reads = tuple(handling.reads(message, key, state))

    def name_questions(self, state: Any, rows: Mapping[Ref[Any], Any]) -> None:
        """Ask the handler for its questions, now that the other rows are known. What is refused anyway asks none."""
        message, handling = self.inbound.message, self.handling
        if handling and handling.asks and not isinstance(message, Malformed | Repeated):
            self.asks = tuple(handling.asks(message, self.inbound.key, state, rows))
