"""What happens at Stripe without orderbus happens in the simulation, too."""

from __future__ import annotations

import pytest

from deploy.simulation.fault_profile import LEVELS
from deploy.simulation.run import simulate

FAULTS = {"stray_charge", "dashboard_refund", "refund_bounces", "account_paused"}


def test_each_kind_happens_and_breaks_nothing() -> None:
    assert all(getattr(LEVELS["storm"], name) > 0 for name in FAULTS)
    happened: set[str] = set()
    for seed in range(1, 40):
        result = simulate(seed, 10, "many")
        assert result.violations == []
        happened |= result.faults.keys() & FAULTS
        if happened == FAULTS:
            return
    pytest.fail(f"only {happened} happened")
