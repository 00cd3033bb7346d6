"""Staff keep views of lists."""

from __future__ import annotations

from deploy.simulation.world import World
from shared.contracts.staff import RemoveView, SaveView

STAFF = "staff:anna"


def save_views(world: World, store: str) -> None:
    """Two are saved; one is changed, the other one removed."""
    failed = SaveView(name="Failed", filters=("status=failed",), columns=("number", "total"))
    world.publish(failed, f"{store}/failed", actor=STAFF)
    world.publish(SaveView(name="Large", sort="-total"), f"{store}/large", actor=STAFF)
    world.publish(failed.model_copy(update={"shared": True}), f"{store}/failed", actor=STAFF)
    world.publish(RemoveView(), f"{store}/large", actor=STAFF)
