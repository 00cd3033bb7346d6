"""What must hold when a run has come to rest. Each check yields (rule, order or other key, what is wrong)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.simulation.world import World

Broken = tuple[str, str, str]


def broken(world: World) -> list[Broken]:
    return [found for check in CHECKS for found in check(world)]


def workers_live(world: World) -> Iterator[Broken]:
    """A worker dies of our faults, never by itself."""
    yield from (("worker_died", "", trouble) for trouble in world.troubles)


def nothing_parked(world: World) -> Iterator[Broken]:
    """Nobody sent anything unreadable, and no core may raise."""
    for name, store in world.stores.items():
        for row in store.rows("parked").values():
            yield "parked", row.key, f"{name} parked {row.kind} ({row.reason}): {row.error}"


CHECKS = (workers_live, nothing_parked)
