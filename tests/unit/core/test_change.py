"""A change gathers what a decision is made of."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from shared.core import Change, Context, Decision, Ref, Timer
from shared.core.scenario import START
from tests.unit.core.bikes import (
    Bike,
    BikeTaken,
    HoldDeposit,
    Rental,
    ReservationOver,
    Ride,
    ServiceBike,
    Status,
)

RENTAL = Rental(Status.REQUESTED, "b1")
LATER = START + timedelta(minutes=5)


def change(*bikes: Bike) -> Change[Rental]:
    rows: dict[Ref[Bike], object] = {Ref(Bike, "b1"): bikes[0] if bikes else None}
    return Change(RENTAL, Context(START, "o-1", UUID(int=1), rows=rows))


def test_nothing_changed_is_the_same_state() -> None:
    unchanged = change()
    unchanged.set()
    decision = unchanged.decision()
    assert decision.state is RENTAL and not unchanged.changed
    assert decision == Decision(RENTAL, events=[], operations=[], timers=[], cancel=[], records=[], commands=[])


def test_everything_is_handed_over_in_its_order() -> None:
    ride = Ride("o-1", UUID(int=2), "b1")
    made = change()
    made.set(status=Status.RIDING, hold="pi_1")
    made.publish(BikeTaken())
    made.publish(BikeTaken(), BikeTaken())
    made.request(HoldDeposit(1))
    made.request(HoldDeposit(2))
    made.timer(LATER, ReservationOver())
    made.timer(LATER, ReservationOver(), name="second")
    made.record(ride)
    made.send("b1", ServiceBike())
    made.put(Bike, "b1", Bike(rented=True))

    assert made.changed and made.before is RENTAL
    assert made.decision() == Decision(
        Rental(Status.RIDING, "b1", "pi_1"),
        events=[BikeTaken()] * 3,
        operations=[HoldDeposit(1), HoldDeposit(2)],
        timers=[Timer(LATER, ReservationOver()), Timer(LATER, ReservationOver(), "second")],
        cancel=[],
        records=[ride],
        other_states={Ref(Bike, "b1"): Bike(rented=True)},
        commands=[("b1", ServiceBike())],
    )


def test_the_later_word_about_a_timer_counts() -> None:
    made = change()
    made.timer(LATER, ReservationOver())
    made.timer(START, ReservationOver())
    assert made.decision().timers == [Timer(START, ReservationOver())]
    made.cancel_timer(ReservationOver, "second")
    assert (made.decision().timers, made.decision().cancel) == ([], [ReservationOver, "second"])
    made.timer(LATER, ReservationOver())
    assert made.decision().timers == [Timer(LATER, ReservationOver())]


def test_another_row_is_seen_as_changed_so_far() -> None:
    made = change(Bike(rides=1))
    assert made.other(Bike, "b1") == Bike(rides=1)
    made.put(Bike, "b1", Bike(rides=2))
    assert made.other(Bike, "b1") == Bike(rides=2)
    assert change().other(Bike, "b1") is None
