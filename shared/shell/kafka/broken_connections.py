"""A connection that has just broken is an error of the connection to aiokafka, on every event loop.

Writing to a transport that is closed raises RuntimeError on uvloop, and nothing on asyncio's own loop. aiokafka expects
OSError. Whatever else comes ends the task that wrote: without the one that keeps the metadata, a client never finds a
broker again, and cannot be closed either. Replaces a method of aiokafka 0.14.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_aiokafkas_send = AIOKafkaConnection.send


def install() -> None:
    """For all connections of this process."""
    AIOKafkaConnection.send = _send


def _send(self: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    try:
        return _aiokafkas_send(self, request, expect_response)
    except RuntimeError as error:
        self.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error
