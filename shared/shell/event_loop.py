"""Runs a program on the fastest event loop that is installed, and its work until the program is to stop."""

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


async def until(stopping: asyncio.Event, *work: Coroutine[Any, Any, None]) -> None:
    """Work that never ends by itself, side by side. Raises what the first part raises; at the end all are cancelled."""
    tasks = [asyncio.create_task(stopping.wait()), *(asyncio.create_task(item) for item in work)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
