"""Where an order can go from where it is. Sets of statuses that other services need are in the contracts."""

from __future__ import annotations

from shared.contracts.values import UNPAID, OrderStatus

S = OrderStatus
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.CREATED: frozenset({S.RECEIVED, S.PENDING_PAYMENT, S.CANCELLED, S.EXPIRED}),
    S.RECEIVED: frozenset({S.ACCEPTED, S.DECLINED, S.CANCELLED}),
    S.ACCEPTED: frozenset({S.PENDING_PAYMENT, S.PROCESSING, S.CANCELLED}),
    S.PENDING_PAYMENT: frozenset({S.PROCESSING, S.FAILED, S.CANCELLED, S.EXPIRED}),
    S.PROCESSING: frozenset({S.COMPLETED, S.FAILED, S.CANCELLED, S.REFUNDED}),
    S.FAILED: frozenset({S.PENDING_PAYMENT, S.PROCESSING, S.COMPLETED, S.CANCELLED, S.EXPIRED, S.REFUNDED}),
    S.COMPLETED: frozenset({S.REFUNDED, S.RETURNED}),
    S.DECLINED: frozenset(),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
    S.REFUNDED: frozenset({S.COMPLETED}),
    S.RETURNED: frozenset(),
}
"""What is not here does not happen. `received`, `accepted` and `declined` are of stores that approve each order before
the charge. An order can have failed unpaid, too (`Order.payment_failed`). `returned` is for returns: no handler leads
there yet."""
CLOSED = frozenset(status for status, following in TRANSITIONS.items() if not following) | {S.REFUNDED}
"""Nothing more happens to it by itself. Staff can restore one that was refunded."""
ENDED = CLOSED | {S.COMPLETED}
"""From then on its personal data is kept as long as its store wants it, and may be erased."""
DELIVERABLE = frozenset(S) - UNPAID - CLOSED
"""Deliveries count, also of a completed order: staff may have completed it manually."""


class IllegalTransition(Exception):
    """A handler attempted a transition that does not exist. This is a bug: handlers check `may_become` first."""
