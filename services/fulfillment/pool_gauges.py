"""What is watched of deliveries as a whole: pools of codes that are empty or low."""

from __future__ import annotations

from services.fulfillment.attention import EMPTY_POOLS, LOW_POOLS
from shared.shell.ports.tables import TableGauge

GAUGES = (
    TableGauge(
        "code_pools_empty",
        "Pools of redemption codes that are used up or were never filled, also where no order waits yet.",
        f"select count(*) from ({EMPTY_POOLS}) pools",
    ),
    TableGauge(
        "code_pools_low",
        "Pools of redemption codes with fewer free codes than their low-water mark.",
        f"select count(*) from ({LOW_POOLS}) pools",
    ),
)
