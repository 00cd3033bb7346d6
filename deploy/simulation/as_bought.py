"""Orders are delivered as they were bought, unless staff ask for the latest configuration."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.check.evidence import Findings
from deploy.simulation.trial import Trial
from services.fulfillment.domain.delivery import Delivery


def delivered_as_bought(trial: Trial, found: Findings) -> Iterator[tuple[str, str, str]]:
    """What is configured now replaces what was bought only where staff asked for it. Where nothing was configured then,
    the first configuration replaces nothing."""
    deliveries, work = found.of(Delivery), trial.shop.warehouse
    for key, about in sorted(work.replaced):
        item = deliveries[key].find(about) if key in deliveries else None
        if item and key not in work.latest:
            yield "delivered_as_bought", key, f"item {about} has configuration {item.version}, without being asked for"
