"""Scenarios: what they keep, in what order things happen, and what they do not let pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from shared.core import Attempt, Context, Core, Decision, Event, Outcome, Ref, Refused, Scenario, Step, Timer
from tests.unit.core.bikes import (
    RESERVATION,
    Bike,
    BikeReserved,
    BikeTaken,
    GiveBike,
    HoldDeposit,
    LockOpened,
    ReleaseDeposit,
    Rental,
    RentalRefused,
    RequestBike,
    ReservationOver,
    Ride,
    ServiceBike,
    Status,
    bikes,
    rentals,
)


def requested() -> Scenario[Rental]:
    return Scenario(rentals, bikes).given(RequestBike(bike="b1"))


def reserved() -> Scenario[Rental]:
    return requested().answer(HoldDeposit, HoldDeposit.Done("pi_1"))


class TestConversation:
    def test_a_deposit_that_is_held_reserves_the_bike(self) -> None:
        rental = requested()
        due = rental.at + RESERVATION

        rental.answer(HoldDeposit, HoldDeposit.Done("pi_1"))

        assert rental.published == [BikeReserved(bike="b1", until=rental.at + RESERVATION)]
        assert rental.state == Rental(Status.RESERVED, "b1", "pi_1")
        assert rental.row(Bike, "b1") == Bike(rented=True, rides=1)
        assert rental.timer(ReservationOver) == Timer(due, ReservationOver())

    def test_a_deposit_that_is_held_too_late_is_released(self) -> None:
        rental = requested().let_time_pass(RESERVATION)

        rental.answer(HoldDeposit, HoldDeposit.Done("pi_1"))

        assert rental.requested == [ReleaseDeposit("pi_1")]
        assert rental.published == []

    def test_the_last_call_and_all_of_them(self) -> None:
        rental = reserved().hear(GiveBike())

        assert rental.requested == [ReleaseDeposit("pi_1")]
        assert rental.all.requested == [HoldDeposit(50), ReleaseDeposit("pi_1")]
        assert rental.all.of(BikeReserved, RentalRefused) == rental.all.published
        assert [key for key, _ in rental.open] == ["o-1"]

    def test_refusals(self) -> None:
        rental = reserved()
        before = rental.state

        assert rental.refuses(RequestBike(bike="b1")).code == "already_requested"
        assert rental.refused == rental.offer(RequestBike(bike="b1"))
        assert rental.state is before
        with pytest.raises(AssertionError, match="already_requested"):
            rental.hear(RequestBike(bike="b1"))
        with pytest.raises(AssertionError, match="was not refused"):
            rental.refuses(GiveBike())

    def test_a_command_to_another_key_is_carried_out_with_the_message(self) -> None:
        rental = reserved().hear(LockOpened())

        assert rental.sent == [("b1", ServiceBike())]
        (ride,) = rental.records
        assert isinstance(ride, Ride) and ride.bike == "b1"
        assert rental.timer(ReservationOver) is None

    def test_other_keys(self) -> None:
        rental = requested()
        assert rental.refuses(RequestBike(bike="b1"), "o-2").code == "bike_rented"
        rental.hear(RequestBike(bike="b2"), "o-2").answer(HoldDeposit, HoldDeposit.Done("pi_2"), key="o-2")

        assert rental.row(Rental, "o-2") == Rental(Status.RESERVED, "b2", "pi_2")
        assert rental.timer(ReservationOver)
        assert rental.all.about("o-1").published == []
        with pytest.raises(AssertionError, match="no Rental o-9"):
            _ = Scenario(rentals, key="o-9").state


class TestAnswers:
    def test_the_operation_is_named_by_kind_itself_or_by_its_fields(self) -> None:
        rental = Scenario(rentals, bikes)
        rental.hear(RequestBike(bike="b1", deposit=50), "o-1").hear(RequestBike(bike="b2", deposit=60), "o-2")

        with pytest.raises(AssertionError, match="2 open HoldDeposit"):
            rental.answer(HoldDeposit, HoldDeposit.Done("pi"))
        wanted = rental.operation(HoldDeposit, amount=60)
        rental.answer(wanted, HoldDeposit.Done("pi"))
        assert rental.row(Rental, "o-2") == Rental(Status.RESERVED, "b2", "pi")
        with pytest.raises(AssertionError, match="is not open"):
            rental.answer(wanted, HoldDeposit.Done("pi"))

    def test_an_outcome_of_another_operation_is_no_answer(self) -> None:
        with pytest.raises(AssertionError, match="does not answer"):
            requested().answer(HoldDeposit, ReleaseDeposit.Failed("x", "y"))

    @pytest.mark.parametrize(
        ("outcome", "calls"),
        [
            (HoldDeposit.Failed("declined", "No."), 2),
            (HoldDeposit.Failed("gave_up", "No."), 1),
            (HoldDeposit.Unresolved("No."), 1),
        ],
    )
    def test_calls_before_the_answer(self, outcome: Outcome, calls: int) -> None:
        rental = requested().answer(HoldDeposit, outcome, after=["HTTP 500"])
        assert rental.published == [RentalRefused(reason=f"50: No. ({calls} calls)")]
        rental = requested().answer(HoldDeposit, outcome, calls=7)
        assert rental.published == [RentalRefused(reason="50: No. (7 calls)")]


class TestTime:
    def test_timers_go_off_in_their_order_at_their_time(self) -> None:
        steps: list[tuple[str, Any]] = []
        rental = Scenario(rentals, bikes, check=lambda step: steps.append((step.ref.key, step.at)))
        rental.hear(RequestBike(bike="b1"), "late").at -= timedelta(minutes=5)
        rental.hear(RequestBike(bike="b2"), "early")
        steps.clear()
        start = rental.at

        rental.let_time_pass(timedelta(hours=1))

        assert [key for key, _ in steps] == ["early", "late"]
        assert steps[0][1] == start + RESERVATION
        assert rental.at == start + timedelta(hours=1)
        assert rental.pending == {}

    def test_what_is_not_due_waits(self) -> None:
        rental = requested().let_time_pass(RESERVATION - timedelta(seconds=1))
        assert rental.timer(ReservationOver)
        rental.let_time_pass(timedelta(seconds=1))
        assert rental.state.status is Status.LAPSED

    def test_one_timer_goes_off(self) -> None:
        rental = requested()
        due = rental.at + RESERVATION

        assert rental.let_go_off(ReservationOver).state.status is Status.LAPSED
        assert rental.at == due
        with pytest.raises(AssertionError, match="no timer"):
            rental.let_go_off(ReservationOver)

    def test_a_timer_for_ever_is_an_error(self) -> None:
        core = Core(Bike)

        @core.begins(ReservationOver)
        def again(bike: Bike | None, message: ReservationOver, context: Context) -> Decision[Bike]:
            return Decision(Bike(), timers=[Timer(context.at, ReservationOver())])

        with pytest.raises(AssertionError, match="more than"):
            Scenario(core).hear(ReservationOver()).let_time_pass(timedelta(0))


@dataclass(frozen=True, slots=True)
class Loose:
    """Its tuple comes back as one; a list does not."""

    tags: tuple[str, ...] = ()


class TestChecks:
    @pytest.mark.parametrize(
        ("decision", "wrong"),
        [
            (lambda: Decision(None), "dropped the state"),
            (lambda: Decision(Loose(["a"])), "does not survive JSON"),  # type: ignore[arg-type]
            (lambda: Decision(Loose(), operations=[HoldDeposit("x")]), "HoldDeposit"),  # type: ignore[arg-type]
            (lambda: Decision(Loose(), events=[GiveBike()]), "is no Event"),  # type: ignore[list-item]
            (lambda: Decision(Loose(), events=[BikeReserved.model_construct(bike="b")]), "until"),  # type: ignore[call-arg]
            (lambda: Decision(Loose(), commands=[("b", BikeTaken())]), "is no Command"),
            (lambda: Decision(Loose(), other_states={Ref(Bike, "b"): Bike()}), "does not lock"),
            (lambda: Refused("no", "No."), "is a fact"),
        ],
    )
    def test_what_may_not_be_decided(self, decision: Callable[[], Any], wrong: str) -> None:
        core = Core(Loose)

        @core.begins(BikeTaken)
        def taken(loose: Loose | None, message: BikeTaken, context: Context) -> Decision[Loose] | Refused:
            answer: Decision[Loose] | Refused = decision()
            return answer

        scenario = Scenario(core, rows={Ref(Loose, "o-1"): Loose()})
        with pytest.raises(AssertionError, match=wrong):
            scenario.hear(BikeTaken())
        assert scenario.all.entries == []

    def test_a_core_that_answers_differently_each_time(self) -> None:
        core, numbers = Core(Loose), count()

        @core.begins(BikeTaken)
        def taken(loose: Loose | None, message: BikeTaken, context: Context) -> Decision[Loose]:
            return Decision(Loose((str(next(numbers)),)))

        with pytest.raises(AssertionError, match="in two ways"):
            Scenario(core).hear(BikeTaken())

    def test_a_check_of_ones_own(self) -> None:
        def one_rental_per_bike(step: Step) -> None:
            assert not isinstance(step.decision.state, Rental) or step.decision.state.bike != "b1", "b1 is broken"

        with pytest.raises(AssertionError, match="b1 is broken"):
            Scenario(rentals, bikes, check=one_rental_per_bike).hear(RequestBike(bike="b1"))

    def test_a_message_without_a_handler(self) -> None:
        class Unheard(Event):
            pass

        with pytest.raises(AssertionError, match="Unheard"):
            Scenario(rentals).hear(Unheard())

    def test_attempts_may_be_told_whole(self) -> None:
        rental = requested()
        tried = Attempt(at=rental.at, error="HTTP 500")
        rental.answer(HoldDeposit, HoldDeposit.Unresolved("No."), after=[tried, "HTTP 502"])
        assert rental.published == [RentalRefused(reason="50: No. (2 calls)")]
