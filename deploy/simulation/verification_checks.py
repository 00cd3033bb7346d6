"""What must hold of verified cards when a run has come to rest."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.trial import Trial


def verifications_released(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Nothing stays authorised, and each card is verified once."""
    verifications = trial.world.verifications
    for made in verifications.made.values():
        if made.held:
            yield "verifications_released", made.order, f"{made.id} still holds {made.held}"
    for key, times in verifications.effects.items():
        if times > 1:
            yield "verifications_released", key.partition(".")[0], f"{key} was authorised {times} times"
