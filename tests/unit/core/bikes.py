"""A small domain to try the library with: bikes are rented for a deposit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from shared.core import (
    Change,
    Command,
    Context,
    Core,
    Decision,
    Event,
    Operation,
    Outcome,
    Record,
    Ref,
    Refused,
    Report,
    TimerMessage,
    Topic,
)

REQUESTS = Topic("bikes.requests.v1", owner="bikes")
EVENTS = Topic("bikes.events.v1", owner="bikes")
RESERVATION = timedelta(minutes=15)


class RequestBike(Command, type="bike.request", topic=REQUESTS):
    bike: str
    deposit: int = 50


class GiveBike(Command, type="bike.give_up", topic=REQUESTS):
    pass


class ServiceBike(Command, type="bike.service", topic=REQUESTS):
    pass


class BikeReserved(Event, type="bike.reserved", topic=EVENTS):
    bike: str
    until: datetime


class RentalRefused(Event, type="bike.rental_refused", topic=EVENTS):
    reason: str


class BikeTaken(Event, type="bike.taken", topic=EVENTS):
    pass


class Status(StrEnum):
    REQUESTED = "requested"
    RESERVED = "reserved"
    RIDING = "riding"
    LAPSED = "lapsed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rental:
    status: Status
    bike: str
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Bike:
    rented: bool = False
    rides: int = 0


class HoldDeposit(Operation, safe_to_repeat=True, give_up_after=timedelta(minutes=5)):
    """Hold an amount on the customer's card."""

    amount: int

    class Done(Outcome):
        hold: str


class ReleaseDeposit(Operation, safe_to_repeat=True, give_up_after=None):
    hold: str

    class Done(Outcome):
        pass


class ReservationOver(TimerMessage):
    pass


class LockOpened(Report):
    """The bike's lock tells by itself."""


class Ride(Record):
    key: str
    id: UUID
    bike: str


rentals = Core(Rental, missing=Refused("unknown_rental", "Unknown rental."))
bikes = Core(Bike)


class RentalChange(Change[Rental]):
    """With the verbs of the domain."""

    def give_bike_back(self) -> None:
        bike = self.other(Bike, self.state.bike) or Bike()
        self.put(Bike, self.state.bike, Bike(rides=bike.rides))


def own_bike(message: object, key: str, rental: Rental) -> list[Ref[Bike]]:
    return [Ref(Bike, rental.bike)]


@rentals.begins(RequestBike, locks=lambda request, key, rental: [Ref(Bike, request.bike)])
def requested(rental: Rental | None, request: RequestBike, context: Context) -> Decision[Rental] | Refused:
    if rental is not None:
        return Refused("already_requested", "This rental already exists. Check its status instead.")
    change = RentalChange(Rental(Status.REQUESTED, request.bike), context)
    bike = change.other(Bike, request.bike) or Bike()
    if bike.rented:
        return Refused("bike_rented", "This bike is already rented.")
    change.put(Bike, request.bike, Bike(rented=True, rides=bike.rides + 1))
    change.request(HoldDeposit(request.deposit))
    change.timer(context.at + RESERVATION, ReservationOver())
    return change.decision()


@rentals.answers(HoldDeposit.Done)
def deposit_held(rental: Rental, hold: HoldDeposit, outcome: HoldDeposit.Done, context: Context) -> Decision[Rental]:
    change = RentalChange(rental, context)
    if rental.status is Status.LAPSED:
        change.request(ReleaseDeposit(outcome.hold))
        return change.decision()
    change.set(status=Status.RESERVED, hold=outcome.hold)
    change.publish(BikeReserved(bike=rental.bike, until=context.at + RESERVATION))
    return change.decision()


@rentals.answers(
    HoldDeposit.Failed, HoldDeposit.Unresolved, locks=lambda outcome, key, rental: [Ref(Bike, rental.bike)]
)
def deposit_declined(
    rental: Rental, hold: HoldDeposit, outcome: HoldDeposit.Failed | HoldDeposit.Unresolved, context: Context
) -> Decision[Rental]:
    change = RentalChange(rental, context)
    change.set(status=Status.REFUSED)
    change.give_bike_back()
    change.publish(RentalRefused(reason=f"{hold.amount}: {outcome.text} ({context.calls} calls)"))
    return change.decision()


@rentals.answers(ReleaseDeposit.Done, ReleaseDeposit.Failed, ReleaseDeposit.Unresolved)
def deposit_released(rental: Rental, release: ReleaseDeposit, outcome: Outcome, context: Context) -> Decision[Rental]:
    return Decision(rental)


@rentals.on(GiveBike, ReservationOver, locks=own_bike)
def over(rental: Rental, message: GiveBike | ReservationOver, context: Context) -> Decision[Rental]:
    change = RentalChange(rental, context)
    if rental.status in (Status.REQUESTED, Status.RESERVED):
        change.set(status=Status.LAPSED, hold="")
        change.cancel_timer(ReservationOver)
        change.give_bike_back()
    if rental.hold and change.changed:
        change.request(ReleaseDeposit(rental.hold))
    return change.decision()


@rentals.on(BikeTaken, LockOpened)
def taken(rental: Rental, message: BikeTaken | LockOpened, context: Context) -> Decision[Rental]:
    change = RentalChange(rental, context)
    if rental.status is Status.RESERVED:
        change.set(status=Status.RIDING)
        change.cancel_timer(ReservationOver)
        change.record(Ride(context.key, context.new_id(), rental.bike))
        change.send(rental.bike, ServiceBike())
    return change.decision()


@bikes.begins(ServiceBike)
def serviced(bike: Bike | None, command: ServiceBike, context: Context) -> Decision[Bike] | Refused:
    if bike is None:
        return Refused("unknown_bike", "There is no such bike.")
    return Decision(bike)
