"""What happens at Stripe without orderbus: which of it the product copes with, and what goes wrong with the rest."""

from __future__ import annotations

import pytest

from deploy.cli.errors import UsageError
from deploy.cli.simulate import switched_on
from deploy.simulation.fault_profile import LEVELS, NOT_YET
from deploy.simulation.run import simulate

SWITCHED_ON = {"refund_bounces", "account_paused"}
SEEN_AS = {"stray_charge": "stray_charges_left_alone", "dashboard_refund": "ledger_matches_provider"}
"""By which rule the simulation detects what the product does not cope with yet."""


def test_what_the_product_copes_with_is_switched_on_and_happens() -> None:
    assert all(getattr(LEVELS["storm"], name) > 0 for name in SWITCHED_ON | NOT_YET.keys())
    assert SWITCHED_ON & NOT_YET.keys() == set()

    happened: set[str] = set()
    for seed in range(1, 20):
        result = simulate(seed, 10, "many")
        assert result.violations == []
        happened |= result.faults.keys() & (SWITCHED_ON | NOT_YET.keys())
        if happened == SWITCHED_ON:
            return
    pytest.fail(f"only {happened} happened")


@pytest.mark.parametrize("name", sorted(NOT_YET))
def test_a_fault_that_is_switched_off_is_one_that_goes_wrong(name: str) -> None:
    """Once it no longer does, take it out of NOT_YET."""
    for seed in range(1, 30):
        result = simulate(seed, 10, "many", also={name})
        assert result.faults[name] or not result.violations
        if result.violations:
            assert f"--also {name}" in result.command
            assert SEEN_AS[name] in {violation.rule for violation in result.violations}
            return
    pytest.fail(f"{name} does no harm: switch it on")


def test_the_command_switches_on_only_what_is_off() -> None:
    assert switched_on(sorted(NOT_YET)) == NOT_YET.keys()
    with pytest.raises(UsageError, match="takes a fault that is switched off"):
        switched_on(["refund_bounces"])


def test_a_fault_that_is_switched_on_changes_no_run_without_it() -> None:
    """`--also` draws from a generator of its own."""
    assert simulate(1, 3, "none", also=set(NOT_YET)).digest == simulate(1, 3, "none").digest
