"""A message about a row carries the row's store, whatever the message that caused it said."""

from __future__ import annotations

import pytest

from services.checkout.storage import storage as checkout
from services.fulfillment.storage import storage as fulfillment
from services.notifications.storage import storage as notifications
from services.payments.storage import storage as payments
from services.staff.storage import storage as staff
from shared.core import Decision, Refused, Timer
from shared.shell.inbound.message import Inbound, Malformed, Meta
from shared.shell.ports.tables import StateTable
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import Call, Count, Late, Meter


@pytest.mark.parametrize("said", ["", "south"])
async def test_events_operations_and_timers_carry_the_store_of_the_state(said: str) -> None:
    harness = Harness()
    decided = Decision(Meter(1), operations=[Call("x")], timers=[Timer(harness.clock.at, Late())])
    harness.when("request", decided)
    harness.when("no", Refused("no", "No."))
    for what in ("", "request", "no"):
        message = harness.message("north/1", Count(what=what))
        await harness.batch(Inbound(message.id, message.key, message.message, Meta(store=said)))
    assert {sent.envelope.store for sent in harness.sent()} == {"north"}
    metas = [*(row.meta for row in harness.open_operations()), *(row.meta for row in harness.timers().values())]
    assert {Meta.load(meta).store for meta in metas} == {"north"}


async def test_a_refusal_before_there_is_a_state_carries_what_was_said() -> None:
    harness = Harness()
    message = harness.message("t-1", Malformed(Count, ()))
    await harness.batch(Inbound(message.id, message.key, message.message, Meta(store="south")))
    assert [sent.envelope.store for sent in harness.sent()] == ["south"]


@pytest.mark.parametrize(
    "table", [t for s in (checkout, payments, fulfillment, notifications, staff) for t in s.states]
)
def test_each_of_our_states_knows_its_store(table: StateTable) -> None:
    assert table.store is not StateTable.store
