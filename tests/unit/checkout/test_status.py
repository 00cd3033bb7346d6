"""What follows from the table of transitions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.checkout import storage
from services.checkout.domain.order import Order, moved
from services.checkout.domain.status import CLOSED, TRANSITIONS, IllegalTransition
from shared.contracts.values import UNFINISHED, UNPAID, VOID, OrderStatus
from tests.unit.checkout.examples import START, placed_order

README = Path(storage.__file__).with_name("README.md")


def test_only_the_table_of_transitions_is_followed() -> None:
    order = placed_order().state
    for status in OrderStatus:
        start = Order(order.number, order.store, "USD", order.grace, START, START, status=status)
        for target in OrderStatus:
            if target in TRANSITIONS[status]:
                assert moved(start, target, START).status is target
            else:
                with pytest.raises(IllegalTransition):
                    moved(start, target, START)


def test_the_sets_of_statuses_follow_from_the_transitions() -> None:
    assert {status for status in OrderStatus if leads_to(status, OrderStatus.PENDING_PAYMENT)} - {
        OrderStatus.FAILED
    } == UNPAID, "one that has failed may be paid or not"
    assert {status for status in OrderStatus if OrderStatus.COMPLETED in TRANSITIONS[status]} - CLOSED == UNFINISHED
    assert {target for status in UNPAID for target in TRANSITIONS[status]} & CLOSED == VOID


def leads_to(status: OrderStatus, target: OrderStatus) -> bool:
    return status is target or any(
        leads_to(following, target) for following in TRANSITIONS[status] - UNFINISHED - CLOSED
    )


def test_the_readme_draws_the_transitions() -> None:
    drawn = re.findall(r"^ +(\w+) --> (\w+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(drawn) == sorted((status, target) for status in TRANSITIONS for target in TRANSITIONS[status])
