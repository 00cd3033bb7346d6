"""An asyncio event loop with its own time and a seeded order: the same seed runs the same steps, always.

Time is virtual: it stands still while anything can run, then jumps to the next timer, so days pass in milliseconds.
What is ready at the same moment runs in an order drawn from the seed. Each task has an owner (a worker), inherited by
the tasks that it starts; an owner can be frozen (its steps wait), or killed (its tasks are cancelled at their await).
No threads, no sockets, no signals: whatever would need them raises NotImplementedError.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
OWNER: ContextVar[str] = ContextVar("owner", default="")
"""Whose steps these are: a worker's name and life (`payments-0#2`), or empty for the world around."""


class Deadlock(Exception):
    """Nothing can run and nothing is scheduled: whatever is awaited will never come."""


class Endless(Exception):
    """More steps than a run may take: something goes round in circles."""


class OwnedTask(asyncio.Task[T]):
    """A task that knows its owner. Hashes by its number, so that sets of tasks iterate alike in every process."""

    def __init__(self, work: Any, number: int, *, context: Context | None = None, **options: Any) -> None:
        self.number = number
        self.owner = OWNER.get() if context is None else context.get(OWNER, "")
        super().__init__(work, context=context, **options)

    def __hash__(self) -> int:
        return self.number


class SeededLoop(asyncio.BaseEventLoop):
    """`run(seed, main())` is all that most need."""

    # asyncio's own, which its type descriptions leave out.
    _ready: deque[Any]
    _scheduled: list[Any]
    """(When, number, handle): tuples compare faster than asyncio's handles, and never by identity."""
    _stopping: bool

    def __init__(self, seed: int, *, most_steps: int = 50_000_000) -> None:
        super().__init__()
        self._rng = random.Random(seed)  # noqa: S311
        self._now = 0.0
        self._numbers = 0
        self._owned: dict[str, dict[OwnedTask[Any], None]] = {}
        self._frozen: dict[str, list[asyncio.Handle]] = {}
        self._alarms: list[tuple[int, int, Callable[[], None]]] = []
        self.steps = 0
        self.most_steps = most_steps
        self.set_task_factory(self._task)

    # Time

    def time(self) -> float:
        """Seconds since the beginning of the run."""
        return self._now

    def skip(self, seconds: float) -> None:
        """Let time pass at once, for everybody."""
        self._now += max(seconds, 0.0)

    def timers_of(self, owner: str) -> list[float]:
        """When the timers of an owner are due, by `time()`."""
        return [
            handle.when()
            for _, _, handle in self._scheduled
            if not handle.cancelled() and handle._context.get(OWNER, "") == owner
        ]

    def at_step(self, steps: int, alarm: Callable[[], None]) -> None:
        """Call `alarm` between two steps, `steps` from now: a moment that no await can choose."""
        self._numbers += 1
        heapq.heappush(self._alarms, (self.steps + steps, self._numbers, alarm))

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._numbers += 1
        handle: Any = asyncio.TimerHandle(when, callback, args, self, context)
        handle._scheduled = True
        heapq.heappush(self._scheduled, (when, self._numbers, handle))
        timer: asyncio.TimerHandle = handle
        return timer

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    # Owners

    def freeze(self, owner: str) -> None:
        """Nothing of the owner runs any more until `thaw`; its timers go off late."""
        self._frozen.setdefault(owner, [])

    def thaw(self, owner: str) -> None:
        self._ready.extend(self._frozen.pop(owner, ()))

    def is_frozen(self, owner: str) -> bool:
        return owner in self._frozen

    async def kill(self, owner: str) -> None:
        """Cancel every task of the owner where it awaits, and return when none is left."""
        self.thaw(owner)
        while tasks := [task for task in self._owned.get(owner, ()) if not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.001)
            for task in tasks:
                if task.done() and not task.cancelled():
                    task.exception()  # seen, so that asyncio does not complain of it
        self._owned.pop(owner, None)

    def _task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T] | Generator[Any, None, T], **options: Any
    ) -> asyncio.Future[T]:
        self._numbers += 1
        task: OwnedTask[T] = OwnedTask(work, self._numbers, loop=loop, **options)
        if task.owner:
            tasks = self._owned.setdefault(task.owner, {})
            tasks[task] = None
            if len(tasks) > 400:
                self._owned[task.owner] = {known: None for known in tasks if not known.done()}
        return task

    # Running

    def _run_once(self) -> None:
        """One round: what is due becomes ready, and what is ready runs once, in a seeded order."""
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            self._wait()
        while scheduled and (scheduled[0][0] <= self._now or scheduled[0][2]._cancelled):
            handle = heapq.heappop(scheduled)[2]
            handle._scheduled = False
            if handle._cancelled:
                self._timer_cancelled_count -= 1
            else:
                ready.append(handle)
        if self._timer_cancelled_count > 50 and 2 * self._timer_cancelled_count > len(scheduled):
            self._forget_cancelled()
        batch = list(ready)
        ready.clear()
        if len(batch) > 1:
            self._shuffle(batch)
        for handle in batch:
            if handle._cancelled:
                continue
            if self._frozen and (owner := handle._context.get(OWNER, "")) in self._frozen:
                self._frozen[owner].append(handle)
                continue
            self.steps += 1
            handle._run()
        self._go_off()

    def _forget_cancelled(self) -> None:
        """As asyncio's own loop does: time-outs that never went off would pile up."""
        for _, _, handle in self._scheduled:
            if handle._cancelled:
                handle._scheduled = False
        self._scheduled = [entry for entry in self._scheduled if not entry[2]._cancelled]
        heapq.heapify(self._scheduled)
        self._timer_cancelled_count = 0

    def _wait(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)[2]._scheduled = False
        if not scheduled:
            if self._stopping:
                return
            raise Deadlock("nothing is ready and nothing is scheduled")
        self._now = max(self._now, scheduled[0][0])

    def _go_off(self) -> None:
        if self.steps > self.most_steps:
            raise Endless(f"more than {self.most_steps} steps")
        while self._alarms and self._alarms[0][0] <= self.steps:
            heapq.heappop(self._alarms)[2]()

    def _shuffle(self, batch: list[asyncio.Handle]) -> None:
        rng = self._rng.random
        for last in range(len(batch) - 1, 0, -1):
            other = int(rng() * (last + 1))
            batch[last], batch[other] = batch[other], batch[last]

    # What a loop without sockets and threads does for asyncio's own machinery

    def _process_events(self, event_list: Any) -> None:
        """There is no selector."""

    def _write_to_self(self) -> None:
        """There is no selector to wake."""

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)


def run(seed: int, main: Callable[[SeededLoop], Coroutine[Any, Any, T]], most_steps: int = 50_000_000) -> T:
    """Run a coroutine to its end on a loop of its own, whatever loop is running. Raises Endless, Deadlock."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = SeededLoop(seed, most_steps=most_steps)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        _close(loop)
        asyncio._set_running_loop(outer)


def _close(loop: SeededLoop) -> None:
    """End what still waits; what it does then no longer matters."""
    rest = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in sorted(rest, key=lambda task: getattr(task, "number", 0)):
        task.cancel()
    for owner in list(loop._frozen):
        loop.thaw(owner)
    loop._alarms.clear()
    loop.most_steps += 1_000_000
    if rest:
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
