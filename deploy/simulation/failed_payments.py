"""What must hold of orders that cannot be paid any more, and of the time to pay: when a run has come to rest, and, of
their stock, all along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.trial import Trial
from services.checkout.domain.order import Order
from shared.contracts.checkout import OrderPaymentDeclined, OrderPaymentReminder
from shared.contracts.values import OrderStatus

TOLD = (OrderPaymentDeclined.type, OrderPaymentReminder.type)


def the_deadline_is_not_renewed(trial: Trial, found: Findings) -> Iterator[Broken]:
    """Each decline tells the customer the same time at which the order expires, unless staff reopened it."""
    told: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    read = _told(trial)
    reopened = {(key, said["page"]["attempts"]) for key, _, said in read if said.get("reminder") == 0}
    for key, type, said in read:
        if type == OrderPaymentDeclined.type:
            times = sum(of == key and after < said["attempt"] for of, after in reopened)
            told[key, times].add(said["until"])
    for (key, _), ends in told.items():
        if len(ends) > 1:
            yield "deadline_renewed", key, f"the customer was told several ends of the time to pay: {sorted(ends)}"


def no_order_waits_for_payment(trial: Trial, found: Findings) -> Iterator[Broken]:
    """The time to pay is over for all, also of those that failed for good: their stock is free again."""
    for key, order in found.of(Order).items():
        if order.status is OrderStatus.PENDING_PAYMENT or order.payment_failed:
            yield "waits_for_payment", key, f"the order is {order.status} still, and its time to pay is over"


def _told(trial: Trial) -> list[tuple[str, str, dict[str, Any]]]:
    read = ((envelope, record.value) for record, envelope in trial.world.read if envelope.type in TOLD)
    return [(envelope.subject, envelope.type, orjson.loads(body or b"")) for envelope, body in read]


FAILED_PAYMENTS = (the_deadline_is_not_renewed, no_order_waits_for_payment)
