"""How handlers are registered, and what they are called with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from shared.core import Context, Core, Decision, Event, FailedOutcome, Outcome, Ref, Refused
from shared.core.scenario import START
from tests.unit.core.bikes import (
    Bike,
    BikeTaken,
    GiveBike,
    HoldDeposit,
    LockOpened,
    Rental,
    ReservationOver,
    Status,
    deposit_held,
    rentals,
)

RENTAL = Rental(Status.REQUESTED, "b1")


def context(operation: HoldDeposit | None = None) -> Context:
    return Context(START, "o-1", UUID(int=1), operation=operation)


def nothing(*arguments: Any) -> Decision[Any]:
    return Decision(arguments[0])


class TestRegistration:
    def test_an_outcome_needs_answers(self) -> None:
        core = Core(Rental)
        for register in (core.begins, core.on):
            with pytest.raises(TypeError, match=r"HoldDeposit\.Done is the outcome"):
                register(HoldDeposit.Done)(nothing)

    @pytest.mark.parametrize("message", [BikeTaken, ReservationOver, FailedOutcome, Outcome])
    def test_what_is_no_outcome_of_an_operation_has_no_answers(self, message: type[Any]) -> None:
        with pytest.raises(TypeError, match="no outcome of an operation"):
            Core(Rental).answers(message)(nothing)

    def test_a_command_to_a_row_needs_a_refusal_for_none(self) -> None:
        with pytest.raises(TypeError, match="GiveBike is a command"):
            Core(Rental).on(BikeTaken, GiveBike)(nothing)
        Core(Rental).begins(GiveBike)(nothing)

    def test_nothing_has_two_handlers(self) -> None:
        core = Core(Rental)
        core.on(BikeTaken)(nothing)
        with pytest.raises(TypeError, match="two handlers"):
            core.begins(BikeTaken)(nothing)

    def test_handlers_stay_plain_functions(self) -> None:
        decision = deposit_held(RENTAL, HoldDeposit(50), HoldDeposit.Done("pi_1"), context())
        assert isinstance(decision, Decision) and decision.state == Rental(Status.RESERVED, "b1", "pi_1")


class TestWithoutARow:
    @pytest.mark.parametrize(
        "message",
        [BikeTaken(), ReservationOver(), LockOpened()],
    )
    def test_nothing_comes_of_facts_timers_and_reports(self, message: object) -> None:
        assert rentals.decide(None, message, context()) == Decision(None)

    @pytest.mark.parametrize("outcome", [HoldDeposit.Done("pi"), HoldDeposit.Failed("no", "No.")])
    def test_an_outcome_is_never_lost(self, outcome: Outcome) -> None:
        """Its operation was requested with the row. Where that is gone, the message is parked."""
        with pytest.raises(LookupError, match="HoldDeposit"):
            rentals.decide(None, outcome, context(HoldDeposit(50)))

    def test_a_command_is_refused_as_the_core_says(self) -> None:
        assert rentals.decide(None, GiveBike(), context()) == Refused("unknown_rental", "Unknown rental.")

    def test_no_other_rows_are_asked_for(self) -> None:
        handling = rentals.handlers[GiveBike]
        assert handling.locks is not None
        assert [*handling.locks(GiveBike(), "o-1", None)] == []
        assert [*handling.locks(GiveBike(), "o-1", RENTAL)] == [Ref(Bike, "b1")]


class TestWithARow:
    def test_the_operation_comes_with_its_outcome(self) -> None:
        core, seen = Core(Rental), list[object]()

        @core.answers(HoldDeposit.Done)
        def held(rental: Rental, hold: HoldDeposit, outcome: HoldDeposit.Done, context: Context) -> Decision[Rental]:
            seen.extend((rental, hold, outcome))
            return Decision(rental)

        core.decide(RENTAL, HoldDeposit.Done("pi"), context(HoldDeposit(7)))
        assert seen == [RENTAL, HoldDeposit(7), HoldDeposit.Done("pi")]

    def test_begins_takes_what_is_there(self) -> None:
        core, seen = Core(Rental), list[object]()

        @core.begins(BikeTaken)
        def taken(rental: Rental | None, message: Event, context: Context) -> Decision[Rental]:
            seen.append(rental)
            return Decision(rental)

        core.decide(None, BikeTaken(), context())
        core.decide(RENTAL, BikeTaken(), context())
        assert seen == [None, RENTAL]
