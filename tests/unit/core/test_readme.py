"""The examples in the library's README run."""

from __future__ import annotations

from typing import Any

from shared.core import Scenario
from tests.unit.core import bikes
from tests.unit.test_architecture import ROOT

CORE, OPERATION, TEST = (
    block.partition("```")[0]
    for block in (ROOT / "shared/core/README.md").read_text(encoding="utf-8").split("```python")[1:]
)


def test_the_operation_is_the_one_of_the_example() -> None:
    operation = run(OPERATION)["HoldDeposit"](amount=50)
    assert operation.give_up_after == bikes.HoldDeposit(50).give_up_after
    assert operation.Done("pi_1").hold == "pi_1"


def test_the_test_passes_with_the_core() -> None:
    names = run(CORE, TEST)
    assert names["rentals"] is not bikes.rentals
    names["test_a_deposit_that_is_held_too_late_is_released"]()


def run(*blocks: str) -> dict[str, Any]:
    """What the blocks define, with all of the example's other names."""
    names: dict[str, Any] = {**vars(bikes), "Scenario": Scenario}
    for block in blocks:
        exec(block, names)  # noqa: S102
    return names
