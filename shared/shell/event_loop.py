"""Runs a program on the fastest event loop that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
with suppress(ImportError):  # there is none for Windows
    from uvloop import new_event_loop as new_loop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)
