"""Commands as async functions, and what stops them early."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


def on_event_loop(command: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """The command as a plain function, which runs it to completion."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # what is wrong is said by the command itself
        asyncio.run(command(*args, **kwargs))

    return run


def stop_event() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping
