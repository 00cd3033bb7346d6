"""What an order waits for, as `orderbus publish --follow` says it of its status record."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

import pytest

from deploy.cli.commands import COMMANDS, Group
from deploy.cli.group import loaded
from deploy.cli.order_waits import waits
from services.checkout.domain.delivery import TO_COMPLETE, TO_START
from shared.contracts.values import OrderStatus

WAITING = {"item": "2", "product": "Audiobook", "delivery": "waiting"}
PARCEL = {"item": "1", "product": "Print", "delivery": "waiting", "shippable": True}
PENDING = {"item": "3", "product": "Course", "delivery": "pending"}
UNTIL = {"deadline": "2026-03-03T14:05:00+00:00"}
PAGE: dict[str, object] = {"pay_url": "https://pay.example/x"}
BY_HAND: dict[str, object] = {"message": "Waits for the payment: bank transfer."}
RELEASED = "nothing is delivered until it is released"
RELEASE = "orderbus delivery release ORD-1 --reason TEXT"
STARTED = "nothing is delivered until it is started"
SHIP = "orderbus ship ORD-1 --carrier NAME --tracking NUMBER"
LOOK = "orderbus order ORD-1 shows why, orderbus attention what to do"
CASES: list[tuple[str, Mapping[str, object], str]] = [
    ("created", {}, "waits for its submission (checkout.submitted)"),
    ("received", {}, "waits for the store's approval: orderbus accept ORD-1, or orderbus decline ORD-1"),
    ("received", PAGE, "waits for the customer: pay at https://pay.example/x"),
    ("accepted", {}, "is being charged"),
    ("pending_payment", {}, "waits for its payment: orderbus order ORD-1 shows why"),
    ("pending_payment", PAGE, "waits for the customer: pay at https://pay.example/x"),
    ("pending_payment", {"payment_status": "failed"}, "waits for the customer: pay again by checkout.payment_retried"),
    ("pending_payment", BY_HAND, "waits for its payment: orderbus record-payment ORD-1 --method METHOD"),
    ("failed", {}, "waits for staff, for a delivery failed: orderbus retry ORD-1"),
    ("processing", {"held": "it is large"}, f"is held (it is large): {RELEASED}: {RELEASE}"),
    ("processing", {"message": TO_START}, f"waits for staff: {STARTED}: orderbus delivery start ORD-1"),
    ("processing", {"message": TO_COMPLETE}, "waits for staff: everything is delivered: orderbus complete ORD-1"),
    ("processing", {"items": [PENDING, PARCEL, WAITING]}, f"waits for staff to ship item 1 (Print): {SHIP}"),
    ("processing", {"items": [PENDING, WAITING]}, f"waits for item 2 (Audiobook): {LOOK}"),
    ("processing", {"items": [PENDING]}, "waits for a delivery: orderbus order ORD-1 shows which"),
]


@pytest.mark.parametrize(("status", "fields", "said"), CASES)
def test_it_is_said_with_the_command_to_use(status: str, fields: Mapping[str, object], said: str) -> None:
    assert waits({"status": status, **fields}, "ORD-1") == said


def test_the_deadline_is_said() -> None:
    assert " until 2026-03-03 " in waits({"status": "pending_payment", **UNTIL}, "ORD-1")
    failed = waits({"status": "failed", **UNTIL}, "ORD-1")
    assert failed.startswith("cannot be paid any more, and ends 2026-03-03 ")
    assert failed.endswith(": orderbus reopen ORD-1")


def test_every_status_is_known() -> None:
    ended = [each for each in OrderStatus if not waits({"status": each}, "ORD-1")]
    assert ended == ["completed", "declined", "cancelled", "expired", "refunded", "returned"]


@pytest.mark.parametrize("said", [said for _, _, said in CASES if ": orderbus" in said])
def test_its_commands_exist(said: str) -> None:
    entries = {entry.name: entry for section in COMMANDS for entry in section.commands}
    command = re.split(r",| shows", said[said.rindex(": orderbus") + 2 :])[0]
    _, name, *rest = shlex.split(command.replace("METHOD", "cash"))
    entry = entries[name]
    if isinstance(entry, Group):
        entry = next(one for one in entry.commands if one.name == rest[0])
        rest = rest[1:]
    assert loaded(entry).make_context(name, rest)
