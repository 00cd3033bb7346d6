"""Which calls the faults that tests inject into outside systems strike."""

from __future__ import annotations

from deploy.sandboxes.faults import Fault, Faults


def refusals(faults: Faults) -> int:
    """How often a caller is refused who calls until there is no refusal."""
    count = 0
    while faults.take() is not None:
        count += 1
    return count


def test_a_fault_strikes_the_next_calls_so_many_times() -> None:
    faults = Faults()
    faults.inject(Fault(answer=500, times=3))

    assert [refusals(faults) for _ in range(3)] == [3, 0, 0]


def test_a_fault_of_one_call_out_of_many_never_strikes_twice_in_a_row() -> None:
    faults = Faults()
    faults.inject(Fault(answer=500, times=3, every=3))

    assert [refusals(faults) for _ in range(9)] == [0, 0, 1, 0, 1, 0, 1, 0, 0]
    assert faults.struck == 3


def test_calls_are_counted_from_the_injection_of_a_fault() -> None:
    faults = Faults()
    faults.inject(Fault(answer=500, every=2))
    faults.take()
    faults.inject(Fault(answer=500, every=2))

    assert [faults.take() is None for _ in range(4)] == [True, False, True, False]
