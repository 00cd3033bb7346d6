"""Calls that go on waiting, for what staff have to fix or for a server that is offline: their items say why, in the
status record too, without being delivered or failed by it."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import TRANSIENT, Delivery, deliveries
from services.fulfillment.domain.operations import OWN_DATABASE
from services.fulfillment.domain.staff_waits import CALL_PAUSED
from shared.core import Context, Decision, Operation, Outcome, TimerMessage
from shared.core.waits import growing_wait

FIRST_LOOK, LONGEST_LOOK = timedelta(seconds=20), timedelta(minutes=30)
CALL_WAITS = "call_waits"


class LookAtCalls(TimerMessage):
    """Time to see why calls of an order have no outcome yet."""

    looks: int = 1


class ReadWaitingCalls(Operation, safe_to_repeat=True, timeout=30.0, give_up_after=timedelta(hours=1)):
    """Why the calls for an order's items wait, as staff read it."""

    order: str
    looks: int

    def destination(self) -> str:
        return OWN_DATABASE

    class Done(Outcome):
        reasons: tuple[tuple[str, str], ...] = ()
        """By execution; those that wait for nothing in particular are missing."""
        paused: tuple[str, ...] = ()
        """Executions whose calls are not made until staff have done what the reason says."""


def watch(change: DeliveryChange) -> None:
    """After a call was requested."""
    change.timer(change.context.at + FIRST_LOOK, LookAtCalls())


def watched(change: DeliveryChange) -> Decision[Delivery]:
    """After an outcome: no look is needed where nothing is under way any more."""
    if not any(item.status in TRANSIENT for item in change.items):
        change.cancel_timer(LookAtCalls)
    return change.decision()


@deliveries.on(LookAtCalls)
def looked(delivery: Delivery, message: LookAtCalls, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    if any(item.status in TRANSIENT for item in delivery.items):
        change.request(ReadWaitingCalls(context.key, message.looks))
    return change.decision()


@deliveries.answers(ReadWaitingCalls.Done)
def told(
    delivery: Delivery, call: ReadWaitingCalls, outcome: ReadWaitingCalls.Done, context: Context
) -> Decision[Delivery]:
    change, reasons = DeliveryChange(delivery, context), dict(outcome.reasons)
    waiting = [item for item in delivery.items if item.status in TRANSIENT]
    for item in waiting:
        text = reasons.get(item.id, "")[:2000]
        code = (CALL_PAUSED if item.id in outcome.paused else CALL_WAITS) if text else ""
        if (code, text) != (item.code, item.text) and (text or item.code in (CALL_WAITS, CALL_PAUSED)):
            change.update_item(item, code=code, text=text)
    return _again(change, call) if waiting else change.decision()


@deliveries.answers(ReadWaitingCalls.Failed, ReadWaitingCalls.Unresolved)
def not_told(
    delivery: Delivery,
    call: ReadWaitingCalls,
    outcome: ReadWaitingCalls.Failed | ReadWaitingCalls.Unresolved,
    context: Context,
) -> Decision[Delivery]:
    return _again(DeliveryChange(delivery, context), call)


def _again(change: DeliveryChange, call: ReadWaitingCalls) -> Decision[Delivery]:
    looks = call.looks + 1
    change.timer(change.context.at + growing_wait(FIRST_LOOK, LONGEST_LOOK, looks), LookAtCalls(looks))
    return change.decision()
