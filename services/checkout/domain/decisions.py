"""How a decision about an order is put together, so that none forgets its status record or its timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from services.checkout.domain.order import Order
from services.checkout.domain.status_record import status_record
from services.checkout.domain.timeline import Note, entry
from shared.core import Context, Core, Decision, Event, Refused, Timer, TimerMessage
from shared.core.fast_dataclasses import replace

M = TypeVar("M")
Answer = Decision[Order] | Refused

orders = Core(Order)


class AbandonOver(TimerMessage):
    """An opened checkout was never submitted."""


class GraceOver(TimerMessage):
    """The order was not paid in time."""


def changed(
    order: Order,
    context: Context,
    notes: Sequence[Note],
    events: Sequence[Event] = (),
    timers: Sequence[Timer] = (),
    cancel: Sequence[type[TimerMessage] | str] = (),
) -> Decision[Order]:
    """The order is different now: one revision more, its status record last."""
    after = replace(order, revision=order.revision + 1, updated_at=context.at)
    return Decision(
        after,
        events=[*events, status_record(after)],
        timers=timers,
        cancel=cancel,
        records=[entry(note, context) for note in notes],
    )


def noted(order: Order, context: Context, note: Note) -> Decision[Order]:
    """Only the timeline learns of it."""
    return Decision(order, records=[entry(note, context)])


def too_late(order: Order, context: Context, note: Note) -> Decision[Order]:
    """A fact that changes nothing in the order's status: the timeline says so."""
    text = f"{note.text} (The order is {order.status}; this changes nothing.)"
    return noted(order, context, replace(note, text=text))


def on_fact(*messages: type[Any]) -> Callable[[Callable[[Order, M, Context], Decision[Order]]], Callable[..., Answer]]:
    """Register the answer to facts. Those about an order that checkout does not know are nobody's business here."""

    def register(function: Callable[[Order, M, Context], Decision[Order]]) -> Callable[..., Answer]:
        def handle(order: Order | None, message: M, context: Context) -> Answer:
            return Decision(None) if order is None else function(order, message, context)

        return orders.on_old(*messages)(handle)

    return register


def on_command(*messages: type[Any]) -> Callable[[Callable[[Order, M, Context], Answer]], Callable[..., Answer]]:
    """Register the answer to a command about an order that must exist."""

    def register(function: Callable[[Order, M, Context], Answer]) -> Callable[..., Answer]:
        def handle(order: Order | None, message: M, context: Context) -> Answer:
            if order is None:
                return Refused("unknown_order", "There is no such order.")
            return function(order, message, context)

        return orders.on_old(*messages)(handle)

    return register
