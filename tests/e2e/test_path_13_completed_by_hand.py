"""Path 13: an unpaid order is completed by hand, its failed action run again, all of it refunded, and restored."""

from __future__ import annotations

from tests.e2e.conversation import DECLINED_CARD, World, delivery_states


async def test_an_order_paid_by_transfer_is_completed_run_again_refunded_and_restored(world: World) -> None:
    sku = await world.sells("regatta", {"kind": "course", "url": world.desk("regatta")})
    customer = world.customer("Evelyn Boyd Granville")
    order = await customer.buys(sku, card=DECLINED_CARD)
    await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")
    await world.is_refused(world.command(order, "checkout", "complete"), "how_paid")
    too_little = {"method": "bank_transfer", "amount": 1}
    await world.is_refused(world.command(order, "checkout", "complete", paid=too_little), "wrong_amount")

    await world.outside.inject("hooks/regatta", answer=422)
    paid = {"method": "bank_transfer", "reference": "SEPA-17"}
    await world.command(order, "checkout", "complete", paid=paid, note="Paid by transfer.")
    done = await order.becomes("completed")
    assert (done["payment_status"], done["paid"]) == ("paid", done["purchased"])
    await order.shows(lambda it: delivery_states(it) == ["failed"], "the school's refusal")

    await world.outside.clear_fault("hooks/regatta")
    await world.command(order, "checkout", "complete")
    await order.shows(lambda it: delivery_states(it) == ["delivered"], "the course")
    await world.is_refused(world.command(order, "checkout", "complete"), "not_completable")

    await world.refunds(order, refund_payment=False, note="By bank transfer.")
    await order.becomes("refunded")
    await world.command(order, "checkout", "complete", restore_refunded=True)
    restored = await order.becomes("completed")
    assert (restored["payment_status"], restored["refunded"], restored["restored"]) == ("paid", 0, done["purchased"])

    ledger = await world.payment(order)
    assert [attempt["provider"] for attempt in ledger["attempts"] if attempt["status"] == "captured"] == ["manual"]
    assert ledger["refunded"] == done["purchased"], "the ledger stays as it is"
    assert await world.money_taken(order) == (0, 0, 0)


async def test_an_order_that_is_given_is_delivered_and_no_card_pays_for_it(world: World) -> None:
    customer = world.customer("Mary Kenneth Keller")
    order = await customer.buys("navigation", card=DECLINED_CARD)
    await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")

    await world.command(order, "checkout", "complete", given=True, note="For the jury.")
    await order.becomes("completed")

    await order.shows(lambda it: delivery_states(it) == ["delivered"], "the course")
    assert await customer.courses() == ["Coastal navigation, the course"]
    assert await world.money_taken(order) == (0, 0, 0)
