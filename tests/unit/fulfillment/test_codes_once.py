"""No code goes to two customers, whatever staff do while calls to the pool are under way."""

from __future__ import annotations

import pytest

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.operations import GiveCodes, ReturnCodes, TakeCode
from shared.contracts.checkout import OrderCancelled
from shared.contracts.codes import ProvideCode
from shared.contracts.delivery_work import GrantAgainDelivery, MarkDeliveredDelivery, RevokeDelivery
from shared.contracts.fulfillment import RedemptionCode, RetryDelivery
from shared.core import Command
from tests.unit.fulfillment.examples import EMPTY, Shop, paid

ONE = TakeCode.Done(("AAA",))
REVOKE, GRANT = RevokeDelivery(reason="Fraud?"), GrantAgainDelivery(reason="No fraud.")


def granted_again() -> Shop:
    """The customer has seen AAA."""
    return paid("key").answer(TakeCode, ONE).hear(REVOKE).hear(GRANT)


def test_a_code_that_was_seen_returns_to_no_pool_when_it_is_granted_again_and_cancelled() -> None:
    shop = granted_again().hear(OrderCancelled())

    shop.answer(TakeCode, ONE)

    assert shop.open == []


def test_nor_when_it_is_in_doubt_whether_it_was_taken_again() -> None:
    shop = granted_again().answer(TakeCode, TakeCode.Unresolved("no answer"))

    assert shop.hear(REVOKE).open == []


def test_codes_that_staff_type_leave_the_item_those_that_were_seen() -> None:
    shop = granted_again().answer(TakeCode, TakeCode.Unresolved("no answer"))

    shop.hear(ProvideCode(item="1", codes=("OWN",), reason="Bought elsewhere."))

    assert shop.requested == [GiveCodes("acme/keys", "o-1", "1", ("OWN",), keep=True)]


def test_it_is_granted_again_only_when_its_codes_have_returned() -> None:
    shop = paid("key").hear(REVOKE).answer(TakeCode, ONE)
    assert shop.requested == [ReturnCodes("acme/keys", "o-1", "1")]

    assert shop.refuses(GRANT.model_copy(update={"items": ("1",)})).code == "not_revoked_yet"
    shop.answer(ReturnCodes, ReturnCodes.Done())

    assert shop.hear(GRANT).requested == [TakeCode("acme/keys", "o-1", "1", 1)]


def test_it_is_granted_again_only_when_codes_of_staff_are_recorded() -> None:
    shop = paid("key").answer(TakeCode, EMPTY).hear(ProvideCode(item="1", codes=("OWN",), reason="Bought elsewhere."))
    shop.hear(REVOKE)
    assert shop.refuses(GRANT.model_copy(update={"items": ("1",)})).code == "not_revoked_yet"

    shop.answer(GiveCodes, GiveCodes.Done())
    assert shop.refuses(GRANT.model_copy(update={"items": ("1",)})).code == "not_revoked_yet"
    shop.answer(ReturnCodes, ReturnCodes.Done())

    assert shop.hear(GRANT).requested == [TakeCode("acme/keys", "o-1", "1", 1)]


def test_an_item_that_waits_takes_the_codes_of_an_earlier_call() -> None:
    shop = paid("key")
    first = shop.operation(TakeCode, item="1")
    shop.hear(REVOKE).hear(GRANT)

    shop.answer(first, EMPTY).answer(TakeCode, ONE)

    assert (shop.item().status, shop.open) == (ItemStatus.DELIVERED, [])


def delivered_otherwise() -> Shop:
    """A call may have taken codes; staff gave something else."""
    shop = paid("key").answer(TakeCode, TakeCode.Unresolved("no answer"))
    return shop.hear(MarkDeliveredDelivery(note="Your account was credited.", reason="No codes."))


def test_codes_of_an_unknown_outcome_return_unseen_to_the_pool() -> None:
    assert delivered_otherwise().hear(REVOKE).requested == [ReturnCodes("acme/keys", "o-1", "1")]
    assert delivered_otherwise().hear(OrderCancelled()).requested == [ReturnCodes("acme/keys", "o-1", "1")]


def test_a_note_is_no_code_that_the_customer_has_seen() -> None:
    shop = delivered_otherwise().hear(REVOKE).answer(ReturnCodes, ReturnCodes.Done()).hear(GRANT)
    shop.answer(TakeCode, TakeCode.Unresolved("no answer"))

    shop.hear(ProvideCode(item="1", codes=("OWN",), reason="Bought elsewhere."))

    assert shop.requested == [GiveCodes("acme/keys", "o-1", "1", ("OWN",), keep=False)]


def test_codes_of_an_unknown_outcome_return_when_another_pool_is_configured() -> None:
    shop = paid("key").answer(TakeCode, TakeCode.Unresolved("no answer"))
    shop.configure("key", RedemptionCode(pool="others"))

    shop.hear(RetryDelivery(latest=True))

    assert shop.requested == [ReturnCodes("acme/keys", "o-1", "1"), TakeCode("acme/others", "o-1", "1", 1)]
    assert not shop.item().in_doubt


def other_pool(pool: str, shop: Shop) -> Shop:
    shop.configure("key", RedemptionCode(pool=pool))
    return shop


def returning_to_the_former_pool() -> Shop:
    """The call that returns what may have been taken there has not ended; the other pool has none."""
    shop = other_pool("others", paid("key").answer(TakeCode, TakeCode.Unresolved("no answer")))
    return shop.hear(RetryDelivery(latest=True)).answer(TakeCode, EMPTY)


@pytest.mark.parametrize(
    "command",
    [
        ProvideCode(item="1", codes=("AAA",), reason="Bought elsewhere."),
        MarkDeliveredDelivery(items=("1",), codes=("AAA",), reason="Bought elsewhere."),
        RetryDelivery(items=("1",), latest=True),
    ],
)
def test_what_is_being_returned_is_not_given_once_more_meanwhile(command: Command) -> None:
    """Else the customer has a code, and then it is free."""
    shop = other_pool("keys", returning_to_the_former_pool())

    refused = shop.refuses(command)

    assert refused.code == "under_way"
    assert "being returned to their pool" in refused.text
    shop.answer(ReturnCodes, ReturnCodes.Done())
    assert len(shop.hear(command).requested) == 1
