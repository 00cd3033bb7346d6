"""Why an order is where it is, in every situation that the page docs/lifecycle.md has."""

from __future__ import annotations

import pytest

from deploy.documents.lifecycle.situations import SITUATIONS, Situation, reached
from services.checkout.domain.explanation import explanation
from services.checkout.domain.order import Order
from services.checkout.domain.status import CLOSED, TRANSITIONS
from shared.core.explanation import Explanation


def explained(situation: Situation) -> tuple[Order, Explanation]:
    there = reached(situation)
    order = there.state
    return order, explanation(order, "o-1", there.at)


@pytest.mark.parametrize(
    "situation", [it for it in SITUATIONS if it.status], ids=lambda situation: f"{situation.status}, {situation.name}"
)
def test_every_order_says_what_it_waits_for_and_what_may_be_done(situation: Situation) -> None:
    order, found = explained(situation)
    assert found.state == order.status
    assert found.following == sorted(TRANSITIONS[order.status])
    done = order.status in CLOSED or order.completed_at is not None
    assert found.waits or done, "it would stand still"
    assert all(wait.what.endswith((".", "!")) or ":" in wait.what for wait in found.waits)
    for one in found.commands:
        assert one.possible or (one.code and one.why_not), one
    possible = {one.command for one in found.commands if one.possible}
    assert ("order.cancel" in possible) is order.may_become("cancelled")  # type: ignore[arg-type]


def test_who_has_to_act_is_named() -> None:
    def waits(status: str, name: str = "") -> set[str]:
        (situation, *_) = [it for it in SITUATIONS if it.status == status and (not name or it.name == name)]
        return {wait.who for wait in explained(situation)[1].waits}

    assert waits("created") == {"customer"}
    assert waits("completed") == set()
