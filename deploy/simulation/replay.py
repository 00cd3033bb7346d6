"""Every record of a run read again from the very beginning: nothing may come of it."""

from __future__ import annotations

import asyncio

from deploy.simulation.rest import at_rest, look
from deploy.simulation.workers import POLL
from deploy.simulation.world import World

KEPT = 5 * POLL
"""Seconds after which every worker has written how far it has read: each does so every four polls."""


async def replay(world: World) -> list[str]:
    """Read every record once more, from the very beginning, after the last fault. What that changed: nothing, if all is
    well."""
    await asyncio.sleep(KEPT)
    before = _everything(world)
    world.history.add("world", "", "every record is read again")
    for group in world.bus.groups.values():
        group.committed.clear()
        for member in group.members.values():
            member.seek_back()
    await asyncio.sleep(1.0)
    while not at_rest(world):
        await look(world)
    after = _everything(world)
    return [name for name in before if before[name] != after[name]]


def _everything(world: World) -> dict[str, object]:
    """What a replay must leave as it is, by name."""
    tables = {
        f"{table} of {name}": dict(store.rows(table)) for name, store in world.stores.items() for table in store.tables
    }
    effects = [(i.id, i.captured, i.refunded) for i in world.stripe.intents.values()]
    outside = {"charges": effects, "mails": dict(world.mails.taken), "webhooks": dict(world.receivers.taken)}
    return {**tables, **outside, "records": len(world.bus.records())}
