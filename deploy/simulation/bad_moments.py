"""What staff do to an order at the very moment at which services hear of it."""

from __future__ import annotations

import random
from collections.abc import Mapping

from shared.contracts.checkout import CancelOrder, CompleteOrder
from shared.contracts.fulfillment import RetryDelivery, ShipOrder
from shared.contracts.notifications import ReplayWebhooks
from shared.contracts.order_work import AnswerOrder, NoteOrder, ReopenOrder
from shared.contracts.payments import RefundPayment
from shared.contracts.values import PaidElsewhere
from shared.core import Command
from shared.shell.ports.bus import BusRecord

COMMANDS: Mapping[bytes, tuple[tuple[str, Command], ...]] = {
    b"order.placed": (
        ("fulfillment", ShipOrder(carrier="Post", tracking="T")),
        ("notifications", ReplayWebhooks()),
        ("checkout", CompleteOrder()),
    ),
    b"order.payment_requested": (
        ("payments", RefundPayment()),
        ("checkout", CancelOrder()),
        ("checkout", CompleteOrder(paid=PaidElsewhere(method="cash"), note="At the counter.")),
        ("checkout", CompleteOrder(given=True)),
    ),
    b"order.payment_declined": (("checkout", CompleteOrder(paid=PaidElsewhere(method="bank_transfer"))),),
    b"order.paid": (("payments", RefundPayment()), ("fulfillment", RetryDelivery())),
    b"order.refunded": (("checkout", CompleteOrder(restore_refunded=True)),),
    b"order.asked": (
        ("checkout", AnswerOrder(wants="cancel", granted=True)),
        ("checkout", AnswerOrder(wants="refund", granted=True)),
        ("checkout", AnswerOrder(wants="cancel", granted=False, text="It is on its way.")),
    ),
    b"order.failed": (
        ("checkout", ReopenOrder(tries=1)),
        ("checkout", ReopenOrder(tries=2, note="By telephone.")),
        ("checkout", CancelOrder()),
        ("checkout", CompleteOrder(given=True)),
    ),
    b"order.completed": (("checkout", NoteOrder(text="All went well.")),),
}
"""By the type of the event, each with its service."""


def cannot_be_paid(record: BusRecord, rng: random.Random) -> bool:
    """Whether an event says so, and staff see to it: they leave some until their time is over."""
    return b'"unpaid":true' in (record.value or b"") and rng.random() < 0.6
