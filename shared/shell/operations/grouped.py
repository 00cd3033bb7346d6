"""What many tasks write in the same moment becomes one statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Grouped(Generic[T, R]):
    """Hands items to `write` in groups: while one group is being written, the next gathers. Every item's caller gets
    the result, or the exception, of its whole group."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[R]], most: int = 500) -> None:
        self._write, self._most = write, most
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._writing is None:
            # A task begins after those that are ready now: whatever begins in the same moment is in the first group.
            self._writing = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._write_group(group)
        finally:
            self._writing = None

    async def _write_group(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            written = await self._write([item for item, _ in group])
        except Exception as error:
            for _, result in group:
                if not result.done():
                    result.set_exception(error)
        else:
            for _, result in group:
                if not result.done():
                    result.set_result(written)
