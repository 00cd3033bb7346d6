"""A user of the store with a transaction of its own, and the calls that it makes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.shell.ports.store import BatchRefused, Conflict, Store

Work = Callable[[Store, Any], Awaitable[Any]]


class RolledBack(Exception):
    """On purpose."""


@dataclass(frozen=True)
class Step:
    """One call of one of two players; or of neither, outside of any transaction. `work` None ends a transaction."""

    player: int
    text: str
    work: Work | None
    answer: Any
    waited: bool


class Player:
    """A user of the store with an open transaction, who makes the calls that it is given."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loaded: dict[str, int] = {}
        """Versions of the keys that it holds locked."""
        self._told: asyncio.Queue[tuple[Work | str, asyncio.Future[Any]]] = asyncio.Queue()
        self._playing = asyncio.create_task(self._play())

    def call(self, work: Work | str) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._told.put_nowait((work, answer))
        return answer

    async def _play(self) -> None:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            async with self.store.begin() as tx:
                while True:
                    work, answer = await self._told.get()
                    if work == "commit":
                        break
                    if isinstance(work, str):
                        raise RolledBack
                    answer.set_result(plain(await work(self.store, tx)))
            answer.set_result("committed")
        except (Conflict, BatchRefused, RolledBack) as error:
            answer.set_result(type(error).__name__)


ENDS = ("committed", "Conflict", "BatchRefused", "RolledBack")


async def settled() -> None:
    """Until every player in memory has done what it can."""
    for _ in range(60):
        await asyncio.sleep(0)


def plain(value: Any) -> Any:
    """Comparable: no classes, no bytes, no order where none is promised, no ids that each store gives by itself."""
    if dataclasses.is_dataclass(value):
        fields = [each for each in dataclasses.fields(value) if (each.name, each.type) != ("id", "int")]
        return [plain(getattr(value, each.name)) for each in fields]
    if isinstance(value, set | frozenset):
        return sorted(map(plain, value))
    if isinstance(value, Mapping):
        return sorted((plain(key), plain(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        value = value.decode()
    return value.replace(" ", "") if isinstance(value, str) else value
