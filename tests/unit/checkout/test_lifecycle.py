"""The matrix of docs/lifecycle.md, walked on the real core: every status × every message, and no cell is silent."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.documents.lifecycle.messages import GROUPS, LATER, Row
from deploy.documents.lifecycle.page import page
from deploy.documents.lifecycle.situations import SITUATIONS, Life, Situation, reached
from deploy.documents.lifecycle.walk import Kind, later, walk, walked
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import orders
from shared.contracts import published
from shared.contracts.order_work import MessageOrder
from shared.contracts.values import OrderStatus, PaymentStatus
from shared.core import Command, Context, Decision
from shared.core.fast_dataclasses import replace
from tests.unit.checkout.examples import check_step

ROWS = [row for group in GROUPS.values() for row in group]
AN_ORDER = [situation for situation in SITUATIONS if situation.status]
NO_ORDER = SITUATIONS[0]


def message_of(row: Row, situation: Situation = NO_ORDER) -> object:
    there = reached(situation)
    return row.make(Life(there.rows, there.at))


def silent() -> list[tuple[str, str]]:
    return [(SITUATIONS[at].name, row) for (at, row), cell in walked().items() if cell.kind is Kind.SILENT]


# It is whole


def test_every_message_about_an_order_has_a_row() -> None:
    assert {type(message_of(row)) for row in ROWS} == orders.handlers.keys()
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_every_status_has_a_column() -> None:
    assert {situation.status for situation in AN_ORDER if not situation.variant} == {*OrderStatus}
    disputes = {PaymentStatus.DISPUTED, PaymentStatus.CHARGED_BACK}
    assert disputes <= {reached(situation).state.payment_status for situation in AN_ORDER}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: f"{situation.status}, {situation.name}")
def test_every_message_gets_a_new_status_a_refusal_or_a_reason(situation: Situation) -> None:
    for row in ROWS:
        cell = walk(situation, row, check_step)
        assert cell.kind is not Kind.SILENT, f"{row.name}: it cannot be told that it came"
        assert cell.kind is not Kind.NO_ORDER or situation is NO_ORDER
        if cell.kind in (Kind.NO_EFFECT, Kind.REFUSED):
            assert cell.what[0], f"{row.name}: no reason"
        if isinstance(message_of(row, situation), Command):
            assert cell.kind in (Kind.REFUSED, Kind.MOVES, Kind.CHANGES, Kind.PUBLISHES), (
                f"{row.name}: a command with no answer"
            )


@pytest.mark.parametrize(
    ("situation", "row", "why"),
    [
        ("pending_payment", "`stock.refused`", "its stock is reserved already"),
        ("cancelled", "`stock.reserved`", "the order is cancelled"),
        ("processing", "`payment.captured`, a second attempt", "it is paid already"),
        ("created", "`payment.captured`", "the order is created"),
        ("pending_payment", "`payment.declined`, of another attempt", "another attempt is in progress"),
        ("declined", "`payment.declined`", "the order is declined"),
        ("time is over, asked", "`payment.action_required`", "the time to pay is over"),
        ("expired", "`payment.refunded`, a part", "nothing is paid"),
        ("refunded", "`payment.refunded`, all that is left", "it is counted already"),
        ("processing", "`item.delivered`, of an unknown item", "the order has no such item"),
        ("refunded", "`item.failed`", "it was refunded"),
        ("cancelled", "`item.waiting`", "the order is cancelled"),
        ("cancelled", "`delivery.noted`, held", "the order is cancelled"),
        ("time is over, asked", "time to remind of the payment", "the time to pay is over"),
        ("completed", "time to pay is over", "the order is completed"),
    ],
)
def test_what_has_no_effect_says_the_true_reason(situation: str, row: str, why: str) -> None:
    place = next(at for at, one in enumerate(SITUATIONS) if one.name == situation)
    cell = walk(SITUATIONS[place], next(one for one in ROWS if one.name == row))
    assert (cell.kind, cell.what) == (Kind.NO_EFFECT, (why,))


def test_statuses_to_which_no_handler_leads_are_marked() -> None:
    reachable = {cell.what[0] for cell in walked().values() if cell.kind is Kind.MOVES}
    marked = {situation.status for situation in AN_ORDER if situation.later and not situation.variant}
    assert {*OrderStatus} - {OrderStatus(name) for name in reachable} - {OrderStatus.CREATED} == marked


def test_what_is_not_known_yet_is_skipped_or_refused() -> None:
    assert not LATER.keys() & {kind.type for kind in published()}, "it is known now: give it a row"
    assert {cell.kind for cell in later().values()} <= {Kind.SKIPPED, Kind.REFUSED}


def test_the_page_names_every_message_and_every_status() -> None:
    text = page()
    assert [row.name for row in ROWS if row.name not in text] == []
    assert [situation.name for situation in SITUATIONS if situation.name.replace("_", " ") not in text] == []
    assert "|  |" not in text
    assert "silent" not in text


# What it would find


def test_a_command_that_is_dropped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def dropped(order: Any, command: MessageOrder, context: Context) -> Decision[Any]:
        return Decision(order)

    handlers: dict[Any, Any] = orders.handlers
    monkeypatch.setitem(handlers, MessageOrder, replace(handlers[MessageOrder], function=dropped))
    assert len(silent()) == len(AN_ORDER)


def test_a_late_message_without_a_reason_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderChange, "without_effect", lambda change, why="": Decision(change.before))
    assert ("completed", "time to pay is over") in silent()
