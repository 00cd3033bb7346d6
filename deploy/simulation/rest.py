"""When everything is at rest, and the time that passes until then: while nothing goes on, it is skipped."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime, timedelta

from deploy.check.facts import only_reminds
from deploy.simulation.world import UNREADABLE, World
from shared.shell.ports.rows import OperationRow
from shared.simulation.memory_database import DESTINATIONS, OPERATIONS, OUTBOX, TIMERS

HORIZON = 60 * 86400.0
"""Seconds after which a run that has not come to rest is broken off."""
LOOK = 0.25
"""Seconds between two looks whether everything is at rest."""


class NotAtRest(Exception):
    """Something goes on forever, or waits for something that never comes."""


async def look(world: World) -> None:
    await asyncio.sleep(LOOK)
    _supervise(world)
    if world.loop.time() > HORIZON:
        raise NotAtRest(f"after {HORIZON / 86400:g} days: {unrest(world)}")
    if not unrest(world):
        _skip(world)


def _supervise(world: World) -> None:
    for worker in world.workers:
        if worker.troubles:
            world.troubles += worker.troubles
            worker.troubles = []


def unrest(world: World) -> str:
    """What goes on at this moment; empty when all wait: for a time, for people, or for a worker that is down."""
    listening: set[str] = set()
    for worker in world.workers:
        if not worker.silent():
            listening.add(worker.service.name)
            if not worker.idle():
                return f"{worker.name} is at work"
    for name in listening:
        holder = world.relay_locks[name].holder
        stuck = holder is not None and world.loop.is_frozen(holder.owner)
        if world.stores[name].rows(OUTBOX) and not stuck:
            return f"{len(world.stores[name].rows(OUTBOX))} records are in the outbox of {name}"
    return "something is due" if _next(world) <= world.loop.time() + LOOK else ""


def at_rest(world: World) -> bool:
    """Nothing goes on, and no timer, operation or callback will ever come, but those that remind staff."""
    if unrest(world) or world.stripe.callbacks or world.verifications.callbacks or world.tasks:
        return False
    outboxes = any(store.rows(OUTBOX) for store in world.stores.values())
    calls = any(system.waking for system in world.systems)
    return (
        not outboxes
        and not calls
        and _due(world, reminders=False) is None
        and all(worker.idle() for worker in world.workers)
    )


def _due(world: World, *, reminders: bool = True) -> float | None:
    """In how many seconds the first waiting operation or timer is due; a lease's end counts for a leased one.
    `reminders`: also what only reminds staff, which goes on for ever."""
    found: list[datetime] = []
    for name, store in world.stores.items():
        serial: set[str] = set()
        for _, row in sorted(store.rows(OPERATIONS).items()):
            if row.key.startswith(UNREADABLE):
                continue
            if not (row.serial and row.key in serial):  # one behind another waits for that
                found.append(row.leased_until or _callable(world, name, row))
            if row.serial:
                serial.add(row.key)
        timers = [row for row in store.rows(TIMERS).values() if not row.key.startswith(UNREADABLE)]
        registry = world.registries[name]
        found += [row.due for row in timers if reminders or not only_reminds(registry, row.kind)]
    return (min(found) - world.now()).total_seconds() if found else None


def _callable(world: World, service: str, row: OperationRow) -> datetime:
    """When an operation may be called: not before its destination's next probe, where that is paused or does not
    answer."""
    pause = world.stores[service].rows(DESTINATIONS).get(row.destination)
    mine = [worker for worker in world.workers if worker.service.name == service]
    silent = min((worker.waits_for(row.destination) for worker in mine if not worker.silent()), default=0.0)
    when: datetime = max(row.due, world.now() + timedelta(seconds=silent) if silent else row.due)
    if pause:
        when = max(when, pause.probe_at)
    return min(when, row.expires) if row.expires else when


def _next(world: World, *, reminders: bool = True) -> float:
    """When something happens next, by the loop's time: a timer, an outside system, a customer, staff, a fault."""
    due = _due(world, reminders=reminders)
    times = [] if due is None else [world.loop.time() + due]
    times += [when for system in world.systems for when in system.waking.values()]
    times += [when for when in world.loop.timers_of("") if when > world.loop.time() + LOOK]
    return min(times, default=math.inf)


def _skip(world: World) -> None:
    """Nothing goes on: let the time pass until something does. Where staff will only be reminded, it is over."""
    if _next(world, reminders=False) == math.inf:
        return
    wait = _next(world) - world.loop.time()
    if LOOK < wait < math.inf:
        world.loop.skip(wait)
