"""Does it detect bugs? Each known bug, injected into the real code, must be detected.

ORDERBUS_LONG=1 looks for all of them; `python -m tests.simulation.mutants.hunt` prints the table.
"""

from __future__ import annotations

import os

import pytest

from deploy.simulation.run import simulate
from tests.simulation.mutants.catalogue import Mutant
from tests.simulation.mutants.hunt import MUTANTS, hunt

LONG = bool(os.environ.get("ORDERBUS_LONG"))


@pytest.mark.parametrize(
    "mutant", [mutant for mutant in MUTANTS.values() if LONG or not mutant.slow], ids=lambda mutant: mutant.name
)
def test_an_injected_bug_is_detected(mutant: Mutant) -> None:
    hunted = hunt(mutant)

    assert hunted.found, f"{mutant.name} survived {hunted.seeds} seeds ({hunted.seconds:.0f} s) at level {mutant.level}"


def test_without_a_bug_the_same_seeds_are_clean() -> None:
    """Those at `many` are simulated in test_simulation.py."""
    seeds = range(1, 4 if LONG else 2)
    assert [violation for seed in seeds for violation in simulate(seed, 20, "storm").violations] == []


def test_the_most_likely_bugs_of_such_a_shell_are_among_the_mutants() -> None:
    assert {
        "the inbox is skipped",
        "offsets are committed before the work",
        "the relay has a cursor",
        "the outbox is written in another transaction",
        "a refund is checked without the lock",
        "a time-out is treated as failed",
        "a retry has a new idempotency key",
        "a timer is fired twice",
        "stock is released twice",
        "restock twice by refund then return",
        "a code that a customer has is given to another order",
        "latest configuration used unasked",
        "the deadline is renewed at each decline",
        "an approval is charged twice",
        "what a verification holds is never released",
        "the deadline of a request is set by its last decline",
        "an order expires without a last look at the provider",
        "a late capture after a cancellation is ignored",
        "a message that comes too late leaves no trace",
        "a charge is matched by its metadata alone",
        "a refund is of the attempt that paid the order, whichever was named",
        "what is owed is given up after the first refusal",
        "the provider's units are not converted on the way back",
        "a parked key is overtaken by its later messages",
        "the state is saved without the version guard",
        "a pause counts as a try",
        "a record is not told when the last message arrives",
        "a retry ends being in doubt",
        "giving up in doubt says failed",
        "restore moves money",
        "reopening an order gives no further try",
        "the deadline of a failed payment is forgotten",
        "a failed payment gives its stock back at once",
        "parking raises",
        "a dead letter is not bounded",
        "a message is known by its id alone",
        "ids come from the time of handling",
        "an older build erases an unknown field",
        "an older build parks an unknown event",
        "an order that is not paid makes its customer known",
        "a held order makes its customer known",
    } <= MUTANTS.keys()
