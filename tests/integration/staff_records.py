"""Every record of simulated orders that the staff service reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from deploy.simulation.run import simulate
from deploy.simulation.world import World
from services.staff.domain import PROJECTION
from shared.shell.ports.bus import BusRecord


@cache
def simulated_records(seed: int, orders: int = 12, faults: str = "some") -> Sequence[BusRecord]:
    """In the order in which Kafka got them."""
    found: list[BusRecord] = []
    topics = {topic.name for topic in PROJECTION.topics()}
    seen = World._seen

    def noted(self: World, record: BusRecord) -> None:
        if record.topic in topics:
            found.append(record)
        seen(self, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "_seen", noted)
        assert simulate(seed, orders, faults).violations == []
    assert found
    return found
