"""What an order waits for, and the command with which staff go on: of its status record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deploy.cli.console import day_and_clock
from services.checkout.domain.delivery import TO_COMPLETE, TO_START
from shared.contracts.values import DeliveryStatus, OrderStatus, PaymentStatus

Order = Mapping[str, Any]
RELEASED = "nothing is delivered until it is released"
STARTED = "nothing is delivered until it is started"


def waits(order: Order, name: str) -> str:
    """In a sentence; empty of one that has come to an end. `order`: an `order.status`; `name`: as commands name it."""
    said = _BY_STATUS.get(str(order.get("status")))
    return said(order, name) if said else ""


def release(name: str) -> str:
    return f"orderbus delivery release {name} --reason TEXT"


def start(name: str) -> str:
    return f"orderbus delivery start {name}"


def accept(name: str) -> str:
    return f"orderbus accept {name}"


def decline(name: str) -> str:
    return f"orderbus decline {name}"


def _created(order: Order, name: str) -> str:
    return "waits for its submission (checkout.submitted)"


def _received(order: Order, name: str) -> str:
    if order.get("pay_url"):
        return _payment(order, name)
    return f"waits for the store's approval: {accept(name)}, or {decline(name)}"


def _accepted(order: Order, name: str) -> str:
    return "is being charged"


def _failed(order: Order, name: str) -> str:
    if order.get("deadline"):
        return f"cannot be paid any more, and ends {day_and_clock(order['deadline'])}: orderbus reopen {name}"
    return f"waits for staff, for a delivery failed: orderbus retry {name}"


def _payment(order: Order, name: str) -> str:
    if url := order.get("pay_url"):
        return f"waits for the customer{_until(order)}: pay at {url}"
    if order.get("payment_status") == PaymentStatus.FAILED:
        return f"waits for the customer{_until(order)}: pay again by checkout.payment_retried"
    if str(order.get("message") or "").startswith("Waits for the payment:"):
        return f"waits for its payment{_until(order)}: orderbus record-payment {name} --method METHOD"
    return f"waits for its payment{_until(order)}: orderbus order {name} shows why"


def _until(order: Order) -> str:
    return f" until {day_and_clock(order['deadline'])}" if order.get("deadline") else ""


def _delivery(order: Order, name: str) -> str:
    if held := order.get("held"):
        return f"is held ({held}): {RELEASED}: {release(name)}"
    if order.get("message") == TO_START:
        return f"waits for staff: {STARTED}: {start(name)}"
    if order.get("message") == TO_COMPLETE:
        return f"waits for staff: everything is delivered: orderbus complete {name}"
    waiting = [item for item in order.get("items") or () if item.get("delivery") == DeliveryStatus.WAITING]
    if parcel := [item for item in waiting if item.get("shippable")]:
        return f"waits for staff to ship {_named(parcel)}: orderbus ship {name} --carrier NAME --tracking NUMBER"
    if waiting:
        return f"waits for {_named(waiting)}: orderbus order {name} shows why, orderbus attention what to do"
    return f"waits for a delivery: orderbus order {name} shows which"


def _named(items: list[Order]) -> str:
    return ", ".join(f"item {item['item']} ({item['product']})" for item in items)


_BY_STATUS: Mapping[str, Callable[[Order, str], str]] = {
    OrderStatus.CREATED: _created,
    OrderStatus.RECEIVED: _received,
    OrderStatus.ACCEPTED: _accepted,
    OrderStatus.PENDING_PAYMENT: _payment,
    OrderStatus.FAILED: _failed,
    OrderStatus.PROCESSING: _delivery,
}
"""All others are ends."""
