"""A message about a row carries the row's store, whatever the message that caused it said."""

from __future__ import annotations

import pytest

from services.checkout.storage import STORAGE as CHECKOUT
from services.fulfillment.storage import storage as fulfillment
from services.notifications.storage import storage as notifications
from services.payments.storage import storage as payments
from shared.core import Decision, Refused, Timer
from shared.shell.inbound.message import Inbound, Malformed, Meta
from shared.shell.ports.tables import StateTable
from tests.unit.shell.tally import Count, Late, Ring, Tally
from tests.unit.shell.world import World


@pytest.mark.parametrize("said", ["", "south"])
async def test_events_operations_and_timers_carry_the_store_of_the_state(said: str) -> None:
    world = World()
    decided = Decision(Tally(1), operations=[Ring("x")], timers=[Timer(world.clock.at, Late())])
    world.when("want", decided)
    world.when("no", Refused("no", "No."))
    for what in ("", "want", "no"):
        message = world.message("north/1", Count(what=what))
        await world.batch(Inbound(message.id, message.key, message.message, Meta(store=said)))
    assert {sent.envelope.store for sent in world.sent()} == {"north"}
    metas = [*(row.meta for row in world.wanted()), *(row.meta for row in world.timers().values())]
    assert {Meta.load(meta).store for meta in metas} == {"north"}


async def test_a_refusal_before_there_is_a_state_carries_what_was_said() -> None:
    world = World()
    message = world.message("t-1", Malformed(Count, ()))
    await world.batch(Inbound(message.id, message.key, message.message, Meta(store="south")))
    assert [sent.envelope.store for sent in world.sent()] == ["south"]


@pytest.mark.parametrize("table", [t for s in (CHECKOUT, payments, fulfillment, notifications) for t in s.states])
def test_every_state_of_ours_knows_its_store(table: StateTable) -> None:
    assert table.store is not StateTable.store
