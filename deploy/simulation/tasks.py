"""Tasks of the world's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from shared.simulation.loop import OWNER


def unowned(work: Callable[[], Any]) -> asyncio.Task[None]:
    """A task that outlives the worker in whose step it began."""
    context = copy_context()
    context.run(OWNER.set, "")
    return asyncio.get_running_loop().create_task(work(), context=context)
