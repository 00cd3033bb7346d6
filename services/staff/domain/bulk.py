"""Bulk actions: the same command to many orders. Which of them are offered for the orders of a status tab, and what
each sends. Whether it applies to an order, its owner alone decides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.checkout import CancelOrder, CompleteOrder
from shared.contracts.delivery_work import MarkDeliveredDelivery, ReleaseDelivery, ReturnDelivery, StartDelivery
from shared.contracts.erasure import EraseCustomer
from shared.contracts.fulfillment import RetryDelivery
from shared.contracts.notifications import ReplayWebhooks, ResendMails
from shared.contracts.payments import RefundPayment
from shared.contracts.values import UNFINISHED, UNPAID, VOID, OrderStatus
from shared.core import Command, Refused

S = OrderStatus
MOST_ORDERS = 100_000
"""Of one job."""


@dataclass(frozen=True, slots=True)
class BulkAction:
    command: type[Command]
    path: str
    """Of its route, below `/orders/{key}`."""
    offered: frozenset[OrderStatus]
    """In the tabs of these statuses."""
    reason: str = ""
    """The field that says why, for the order's timeline. Empty: it has none."""
    options: tuple[str, ...] = ()
    """Further fields that staff choose."""
    of_items: bool = False
    """It names what was delivered of the order."""

    @property
    def service(self) -> str:
        """Its owner."""
        return self.command.topic.owner


PAID = UNFINISHED | {S.COMPLETED}
ACTIONS: Mapping[str, BulkAction] = {
    "fulfil": BulkAction(MarkDeliveredDelivery, "/mark-delivered", UNFINISHED, "reason", options=("notify",)),
    "cancel": BulkAction(CancelOrder, "/cancel", UNPAID | UNFINISHED, "reason"),
    "return": BulkAction(
        *(ReturnDelivery, "/return", frozenset({S.COMPLETED, S.PROCESSING}), "reason"),
        options=("refund", "resaleable"),
        of_items=True,
    ),
    "refund": BulkAction(RefundPayment, "/refund", PAID, "note"),
    "complete": BulkAction(CompleteOrder, "/complete", UNFINISHED, "note"),
    "retry_deliveries": BulkAction(RetryDelivery, "/retry", PAID),
    "release": BulkAction(ReleaseDelivery, "/release", UNFINISHED, "reason"),
    "start": BulkAction(StartDelivery, "/start", UNFINISHED, "reason"),
    "resend_emails": BulkAction(ResendMails, "/mails/resend", frozenset(S)),
    "replay_webhooks": BulkAction(ReplayWebhooks, "/webhooks/replay", frozenset(S)),
    "erase": BulkAction(EraseCustomer, "/erase", VOID | {S.CREATED, S.COMPLETED, S.REFUNDED, S.RETURNED}),
}
"""By the names that staff use."""


@dataclass(frozen=True, slots=True)
class BulkChoice:
    """What is done with each order of a job."""

    action: str
    reason: str = ""
    options: Mapping[str, bool] = field(default_factory=dict)

    @property
    def chosen(self) -> BulkAction:
        return ACTIONS[self.action]


def offered_for(status: OrderStatus | None) -> list[str]:
    """The actions of a status tab. None: of the tab of all orders, where each of them may apply."""
    return [name for name, action in ACTIONS.items() if status is None or status in action.offered]


def command_of(choice: BulkChoice) -> Command:
    """As it is sent for an order of which one item was delivered. Raises ValidationError for a choice that no order's
    owner would take: a reason that is missing, for instance."""
    body = body_of(choice, ["1"])
    return choice.chosen.command.model_validate_json(json.dumps(body))


def permissions_of(command: Command) -> tuple[str, ...]:
    """What is needed in the store of each order."""
    return (command.type, *command.also_needs())


def unknown_options(choice: BulkChoice) -> list[str]:
    """Those that the action does not have."""
    return [name for name in choice.options if name not in choice.chosen.options]


def body_of(choice: BulkChoice, delivered: Sequence[str]) -> dict[str, Any] | Refused:
    """The command's body for one order. `delivered`: its items that were, as they were when the job was made: a
    repetition has to say the same."""
    action = choice.chosen
    body: dict[str, Any] = dict(choice.options)
    if action.reason and choice.reason:
        body[action.reason] = choice.reason
    if action.of_items:
        if not delivered:
            return Refused("nothing_to_return", "Nothing of this order was delivered.")
        body["items"] = [{"item": item} for item in delivered]
    return body


def key_of(job: str, order: str) -> str:
    """Names the command of one order of a job, each time that it is sent."""
    return f"{job}/{order}"
