"""Why a delivery is where it is, what it waits for, and what staff may do about it."""

from __future__ import annotations

import pytest

from services.fulfillment.domain.delivery import ItemStatus, Stage, deliveries
from services.fulfillment.domain.explanation import _WORDS, FOLLOWING, commands, explanation
from services.fulfillment.domain.operations import GrantAccess, SignDownload, TakeCode
from shared.contracts.delivery_work import HoldDelivery, ReleaseDelivery
from shared.contracts.fulfillment import ShipOrder
from shared.core import Command
from shared.core.dry_run import needed_rows
from shared.core.explanation import Explanation
from tests.unit.fulfillment.examples import EMPTY, LINK, PAID, Shop, line, paid, placed, refund


def explained(shop: Shop) -> Explanation:
    needed = needed_rows(deliveries, shop.state, commands(shop.state), "o-1")
    return explanation(shop.state, "o-1", shop.at, {ref: shop.row(ref.kind, ref.key) for ref in needed})


def waits(shop: Shop) -> list[tuple[str, str]]:
    return [(wait.who, wait.what) for wait in explained(shop).waits]


def possible(shop: Shop) -> set[str]:
    return {one.command for one in explained(shop).commands if one.possible}


def test_before_payment_it_waits_for_the_customer() -> None:
    shop = Shop().given(placed(line("1", "poster")))
    assert waits(shop) == [("customer", "Pay: nothing is delivered before.")]
    assert possible(shop) == {"delivery.hold"}
    assert {one.command: one.code for one in explained(shop).commands}["order.ship"] == "not_paid"


def test_a_parcel_waits_for_staff() -> None:
    shop = paid("poster")
    assert waits(shop) == [("staff", "Poster (item 1): send it.")]
    assert {"order.ship", "delivery.mark_delivered"} <= possible(shop)
    shop.hear(ShipOrder(carrier="DHL", tracking="1"))
    assert waits(shop) == [] and "order.ship" not in possible(shop)


def test_what_is_being_delivered_waits_for_fulfillment() -> None:
    shop = paid("ebook")
    assert waits(shop) == [("fulfillment", "Ebook (item 1): deliver it.")]
    shop.answer(SignDownload, SignDownload.Done(LINK))
    assert waits(shop) == [] and "delivery.resend" in possible(shop)


def test_an_empty_pool_waits_for_codes() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)
    assert waits(shop) == [("staff", f"Key (item 1): add codes to its pool, or provide one. ({EMPTY.text})")]
    assert {"code.provide", "delivery.retry"} <= possible(shop)


def test_what_failed_says_why_and_can_be_retried_or_settled() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Failed("forbidden", "HTTP 403"))
    assert waits(shop) == [("staff", "Course (item 1): fix it and retry it, or settle it. (HTTP 403)")]
    assert {"delivery.retry", "delivery.settle"} <= possible(shop)


def test_a_held_order_waits_to_be_released() -> None:
    shop = Shop().given(placed(line("1", "poster")), HoldDelivery(reason="Odd."), PAID)
    assert waits(shop) == [("staff", "Release it: it is held for verification.")]
    assert "delivery.release" in possible(shop) and "order.ship" not in possible(shop)
    shop.hear(ReleaseDelivery(reason="Verified."))
    assert waits(shop) == [("staff", "Poster (item 1): send it.")]


def test_nothing_of_it_is_kept() -> None:
    shop = paid("poster", "key", "course")
    before = shop.state
    assert explained(shop) == explained(shop)
    assert shop.state is before


def is_accepted(shop: Shop, command: Command) -> bool:
    try:
        shop.hear(command)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("skus", [("ebook",), ("key",), ("course", "poster"), ("ebook", "key", "poster")])
def test_each_command_is_possible_exactly_when_it_is_accepted(skus: tuple[str, ...]) -> None:
    for further in ((), (refund("1"),)):
        shop = paid(*skus).given(*further)
        for command, said in zip(commands(shop.state), explained(shop).commands, strict=True):
            assert said.command == command.type
            assert said.possible is is_accepted(paid(*skus).given(*further), command), command


def test_every_stage_and_status_is_known() -> None:
    assert FOLLOWING.keys() == set(Stage)
    assert _WORDS.keys() == set(ItemStatus) - {ItemStatus.PLANNED, ItemStatus.DELIVERED, ItemStatus.REVOKED}
