"""What staff do about a course whose delivery waits, failed, or is in doubt: settle it, or correct the product."""

from __future__ import annotations

from typing import Any

import pytest

from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from services.fulfillment.domain.states import ItemStatus
from shared.contracts.fulfillment import (
    CourseAccess,
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemSettled,
    RetryDelivery,
    SettleDelivery,
    ShipOrder,
)
from shared.contracts.values import Instructions
from shared.core import Attempt
from tests.unit.fulfillment.bench import Bench, line

COURSE = CourseAccess(url="https://courses.example/access", enter="https://courses.example/enter")
CORRECTED = COURSE.model_copy(update={"url": "https://courses.example/right"})


AT_THE_OLD_URL = "at the former URL courses.example/access: 500: given up"


def paid() -> Bench:
    bench = Bench()
    bench.product("course", COURSE)
    bench.place(line("1", "course"))
    bench.pay()
    return bench


def said(outcome: Any, item: str = "1") -> SettleDelivery:
    return SettleDelivery(item=item, outcome=outcome, reason="Ada is in the list of members.")


def unresolved() -> Bench:
    bench = paid()
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Unresolved("time-out"))
    return bench


def revoking() -> Bench:
    bench = paid()
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())
    bench.cancel()
    return bench


def test_an_unresolved_grant_is_settled_as_delivered() -> None:
    settled, delivered = unresolved().heard(said("delivered"))
    assert settled == ItemSettled(item="1", outcome="delivered", reason="Ada is in the list of members.")
    assert isinstance(delivered, ItemDelivered)
    assert delivered.instructions == Instructions(kind="course", link=COURSE.enter), "the reason is for staff only"


def test_an_unresolved_grant_is_settled_as_not_delivered_and_then_nothing_is_left_to_revoke() -> None:
    bench = unresolved()
    assert bench.item("1").doubtful
    assert [type(event) for event in bench.heard(said("not_delivered"))] == [ItemSettled]
    assert bench.item("1").status is ItemStatus.FAILED and not bench.item("1").doubtful
    assert bench.refusal(said("not_delivered")).code == "nothing_to_settle"
    assert bench.cancel() == [ItemRevoked(item="1")]
    assert bench.open == []


def test_what_waits_is_settled_and_a_late_grant_of_it_counts() -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    settled, failed = bench.heard(said("not_delivered"))
    assert isinstance(settled, ItemSettled) and isinstance(failed, ItemFailed)
    assert failed.code == "settled"

    (delivered,) = bench.answer(waiting, GrantAccess.Done())
    assert isinstance(delivered, ItemDelivered)


def test_what_waits_is_settled_as_not_delivered_called_off_and_a_late_grant_is_taken_back() -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    bench.heard(said("not_delivered"))
    bench.cancel()
    bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done())
    assert bench.item("1").status is ItemStatus.REVOKED

    assert bench.answer(waiting, GrantAccess.Done()) == []
    assert bench.item("1").status is ItemStatus.REVOKING, "the customer has access now"
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == [ItemRevoked(item="1")]


def test_an_unknown_outcome_after_staff_had_settled_what_was_called_off_is_taken_back() -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    bench.cancel()
    bench.heard(said("not_delivered"))
    assert bench.item("1").status is ItemStatus.REVOKED

    bench.answer(waiting, GrantAccess.Unresolved("time-out"))
    assert bench.item("1").status is ItemStatus.REVOKING, "the customer may have access"


def test_a_revocation_that_nobody_could_find_out_about_is_settled() -> None:
    bench = revoking()
    bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Unresolved("time-out"))
    assert [type(event) for event in bench.heard(said("revoked"))] == [ItemSettled, ItemRevoked]
    assert bench.item("1").status is ItemStatus.REVOKED


def test_a_revocation_that_waits_is_settled_and_its_late_success_counts() -> None:
    bench = revoking()
    waiting = bench.wanted(RevokeAccess)
    settled, failed = bench.heard(said("not_revoked"))
    assert isinstance(settled, ItemSettled) and isinstance(failed, ItemRevocationFailed)
    assert bench.answer(waiting, RevokeAccess.Done()) == [ItemRevoked(item="1")]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("not_delivered", ItemStatus.REVOKED),
        ("revoked", ItemStatus.REVOKED),
        ("delivered", ItemStatus.REVOKING),
    ],
)
def test_a_grant_that_was_called_off_while_it_waited_is_settled(outcome: str, status: ItemStatus) -> None:
    bench = paid()
    bench.cancel()
    assert bench.item("1").status is ItemStatus.STOPPING
    bench.heard(said(outcome))
    assert bench.item("1").status is status


def test_what_is_known_and_what_no_other_system_delivers_is_not_settled() -> None:
    bench = paid()
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())
    assert bench.refusal(said("delivered")).code == "nothing_to_settle"
    assert bench.refusal(said("revoked")).code == "nothing_to_settle"
    assert bench.refusal(said("delivered", "9")).code == "unknown_item"
    assert bench.refusal(said("delivered"), "o-9").code == "unknown_order"
    bench.place(line("1", "mug", shippable=True), key="o-2")
    bench.pay("o-2")
    assert bench.refusal(said("delivered"), "o-2").code == "nothing_to_settle"
    assert bench.heard(ShipOrder(carrier="DHL", tracking="T"), "o-2")


# A wrong URL: the call waits, and goes on at the corrected one


def test_a_call_that_waits_at_a_wrong_url_goes_on_at_the_corrected_one() -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    assert bench.refusal(RetryDelivery()).code == "nothing_to_retry", "nothing was corrected yet"

    bench.product("course", CORRECTED)
    assert bench.heard(RetryDelivery()) == [ItemRetried(item="1")]
    corrected = next(o for _, o in bench.open if isinstance(o, GrantAccess) and o.url == CORRECTED.url)

    assert bench.answer(waiting, GrantAccess.Failed("called_off", "nobody wants this call any more")) == []
    assert bench.item("1").status is ItemStatus.UNDER_WAY
    (delivered,) = bench.answer(corrected, GrantAccess.Done())
    assert isinstance(delivered, ItemDelivered)


def test_a_late_success_at_the_old_url_is_taken_back_and_the_corrected_one_counts() -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    bench.product("course", CORRECTED)
    bench.heard(RetryDelivery(items=("1",)))
    corrected = next(o for _, o in bench.open if isinstance(o, GrantAccess) and o.url == CORRECTED.url)

    assert bench.answer(waiting, GrantAccess.Done()) == []
    assert bench.wanted(RevokeAccess).url == COURSE.url
    (delivered,) = bench.answer(corrected, GrantAccess.Done())
    assert isinstance(delivered, ItemDelivered)
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == []
    assert bench.item("1").status is ItemStatus.DELIVERED


def test_a_call_that_was_called_off_while_it_waited_ends_without_access() -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    bench.cancel()
    assert bench.answer(waiting, GrantAccess.Failed("called_off", "x")) == [ItemRevoked(item="1")]


def test_a_grant_of_unknown_outcome_is_taken_back_when_the_item_is_delivered_in_another_way() -> None:
    bench = unresolved()
    bench.product("course", COURSE)
    bench.heard(RetryDelivery())
    assert not [o for _, o in bench.open if isinstance(o, RevokeAccess)], "the same call again does no harm"

    bench = unresolved()
    bench.product("course", CORRECTED)
    assert bench.heard(RetryDelivery()) == [ItemRetried(item="1")]
    old = bench.wanted(RevokeAccess)
    assert (old.url, bench.wanted(GrantAccess).url) == (COURSE.url, CORRECTED.url)
    assert bench.answer(old, RevokeAccess.Done()) == []
    (delivered,) = bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())
    assert isinstance(delivered, ItemDelivered)


def left_at_the_old_url(outcome: RevokeAccess.Failed | RevokeAccess.Unresolved) -> Bench:
    """Delivered at the corrected URL; the grant at the old one, of unknown outcome, could not be taken back."""
    bench = unresolved()
    bench.product("course", CORRECTED)
    bench.heard(RetryDelivery())
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())
    (failed,) = bench.answer(bench.wanted(RevokeAccess), outcome)
    assert isinstance(failed, ItemRevocationFailed)
    assert (failed.item, failed.text) == ("1", AT_THE_OLD_URL)
    assert (bench.item("1").status, bench.item("1").unrevoked) == (ItemStatus.DELIVERED, (COURSE.url,))
    return bench


@pytest.mark.parametrize(
    "outcome", [RevokeAccess.Failed("gave_up", "500: given up"), RevokeAccess.Unresolved("500: given up")]
)
def test_what_could_not_be_taken_back_at_an_old_url_is_told_and_retried(outcome: Any) -> None:
    bench = left_at_the_old_url(outcome)
    assert bench.heard(RetryDelivery()) == []
    again = bench.wanted(RevokeAccess)
    assert again.url == COURSE.url and not bench.item("1").unrevoked
    assert bench.refusal(RetryDelivery()).code == "nothing_to_retry"
    (failed,) = bench.answer(again, outcome)
    assert isinstance(failed, ItemRevocationFailed)

    bench.heard(RetryDelivery(items=("1",)))
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == []
    assert (bench.item("1").status, bench.item("1").unrevoked) == (ItemStatus.DELIVERED, ())


def test_what_could_not_be_taken_back_at_an_old_url_is_settled_and_the_item_stays_delivered() -> None:
    bench = left_at_the_old_url(RevokeAccess.Failed("gave_up", "500: given up"))
    assert bench.refusal(said("not_revoked")).code == "nothing_to_settle"
    assert [type(event) for event in bench.heard(said("revoked"))] == [ItemSettled]
    assert (bench.item("1").status, bench.item("1").unrevoked) == (ItemStatus.DELIVERED, ())
    assert bench.refusal(said("revoked")).code == "nothing_to_settle"


def test_a_late_success_at_an_old_url_leaves_nothing_to_take_back() -> None:
    bench = unresolved()
    bench.product("course", CORRECTED)
    bench.heard(RetryDelivery())
    old = bench.wanted(RevokeAccess)
    bench.open.append(("o-1", old))
    bench.answer(old, RevokeAccess.Failed("gave_up", "x"))
    assert bench.answer(old, RevokeAccess.Done()) == []
    assert bench.item("1").unrevoked == ()


def test_an_old_url_that_counts_again_is_not_taken_back() -> None:
    """Corrected, and corrected back."""
    bench = unresolved()
    bench.product("course", CORRECTED)
    bench.heard(RetryDelivery())
    bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Failed("gave_up", "x"))
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Failed("rejected", "422"))
    bench.product("course", COURSE)
    assert bench.heard(RetryDelivery()) == [ItemRetried(item="1")]
    assert bench.wanted(GrantAccess).url == COURSE.url
    assert COURSE.url not in [operation.url for _, operation in bench.open if isinstance(operation, RevokeAccess)]
    assert bench.item("1").unrevoked == ()


def test_what_is_left_at_an_old_url_outlives_the_order() -> None:
    bench = left_at_the_old_url(RevokeAccess.Failed("gave_up", "500: given up"))
    bench.cancel()
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == [ItemRevoked(item="1")]
    assert bench.heard(RetryDelivery()) == []
    assert bench.wanted(RevokeAccess).url == COURSE.url
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == []
    assert (bench.item("1").status, bench.item("1").unrevoked) == (ItemStatus.REVOKED, ())


@pytest.mark.parametrize("tried", [True, False])
def test_a_call_at_an_old_url_that_nobody_wants_any_more_is_taken_back_if_it_was_ever_tried(tried: bool) -> None:
    bench = paid()
    waiting = bench.wanted(GrantAccess)
    bench.product("course", CORRECTED)
    bench.heard(RetryDelivery())
    attempts = [Attempt(at=bench.clock, error="time-out")] if tried else []
    assert bench.answer(waiting, GrantAccess.Failed("called_off", "x"), *attempts) == []
    assert [o.url for _, o in bench.open if isinstance(o, RevokeAccess)] == ([COURSE.url] if tried else [])


@pytest.mark.parametrize("delivered", [True, False])
def test_an_old_url_that_counts_again_and_is_taken_back_late_lets_the_customer_in_again(delivered: bool) -> None:
    bench = unresolved()
    bench.product("course", CORRECTED)
    bench.heard(RetryDelivery())
    late = bench.wanted(RevokeAccess)
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Failed("rejected", "422"))
    bench.product("course", COURSE)
    bench.heard(RetryDelivery())
    first = bench.wanted(GrantAccess)
    if delivered:
        bench.answer(first, GrantAccess.Done())
    assert bench.answer(late, RevokeAccess.Done()) == []
    again = next(o for _, o in reversed(bench.open) if isinstance(o, GrantAccess) and o is not first)
    assert again.url == COURSE.url
    told = bench.answer(again, GrantAccess.Done())
    assert [type(event) for event in told] == ([] if delivered else [ItemDelivered])
    assert bench.item("1").status is ItemStatus.DELIVERED
