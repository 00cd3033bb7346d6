"""Commands on game servers of which an earlier call is still under way, or left it open what was done."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from services.fulfillment.domain.rcon_operations import (
    RevokeByCommands,
    RevokeByRepeatableCommands,
    RunCommands,
    RunRepeatableCommands,
)
from shared.contracts.delivery_work import MarkDeliveredDelivery
from shared.contracts.fulfillment import (
    ItemRevocationFailed,
    ItemRevoked,
    RetryDelivery,
    SettleDelivery,
    SettledOutcome,
)
from tests.unit.fulfillment.examples import Shop, refund
from tests.unit.fulfillment.test_http_action import action as http_action
from tests.unit.fulfillment.test_http_action import shop as action_shop
from tests.unit.fulfillment.test_rcon import AWAY, RANK, REPEATABLE, bought, failed

NOT_NEEDED = "Not run, since it is no longer needed."
MARK = MarkDeliveredDelivery(items=("1",), reason="Done on the server.")


def settle(shop: Shop, outcome: SettledOutcome) -> Shop:
    return shop.hear(SettleDelivery(item="1", outcome=outcome, reason="Looked at the server."))


def given() -> Shop:
    return bought().answer(RunCommands, RunCommands.Done())


def test_a_call_that_a_retry_has_replaced_does_not_fail_the_item() -> None:
    shop = bought(REPEATABLE)
    first = shop.operation(RunRepeatableCommands)
    settle(shop, "not_delivered").hear(RetryDelivery())

    shop.answer(first, failed(RunRepeatableCommands, "not_needed", NOT_NEEDED))

    assert shop.item().status is ItemStatus.IN_PROGRESS
    assert shop.published == []
    shop.answer(RunRepeatableCommands, RunRepeatableCommands.Done())
    assert shop.item().status is ItemStatus.DELIVERED


def test_an_unknown_outcome_of_a_replaced_call_is_revoked_by_a_refund() -> None:
    shop = bought(REPEATABLE)
    first = shop.operation(RunRepeatableCommands)
    settle(shop, "not_delivered").hear(RetryDelivery())
    shop.answer(first, RunRepeatableCommands.Unresolved("No answer."))
    assert (shop.item().status, shop.item().in_doubt) == (ItemStatus.IN_PROGRESS, True)

    shop.hear(refund("1")).answer(RunRepeatableCommands, failed(RunRepeatableCommands, "field_unsafe", "x"))
    assert isinstance(shop.operation(RevokeByRepeatableCommands), RevokeByRepeatableCommands)


def test_a_revocation_that_a_retry_has_replaced_does_not_end_the_present_one() -> None:
    shop = given().hear(refund("1"))
    first = shop.operation(RevokeByCommands)
    settle(shop, "not_revoked").hear(RetryDelivery(items=("1",)))

    shop.answer(first, failed(RevokeByCommands, "not_needed", NOT_NEEDED))

    assert shop.published == []
    assert shop.answer(RevokeByCommands, RevokeByCommands.Done()).published == [ItemRevoked(item="1")]


def test_what_staff_settled_while_it_ran_is_revoked_after_it_ran() -> None:
    shop = bought()
    grant = shop.operation(RunCommands)
    settle(shop, "delivered").hear(refund("1"))
    first = shop.operation(RevokeByCommands)
    shop.answer(grant, RunCommands.Done())
    shop.answer(first, failed(RevokeByCommands, "not_needed", NOT_NEEDED))

    assert shop.item().status is ItemStatus.REVOKING
    assert shop.answer(RevokeByCommands, RevokeByCommands.Done()).published == [ItemRevoked(item="1")]
    assert shop.open == []


def test_what_staff_mark_as_delivered_while_it_is_tried_again_is_revoked_by_a_refund() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    shop.let_time_pass(timedelta(seconds=30)).hear(MARK)
    shop.answer(RunCommands, failed(RunCommands, "not_needed", NOT_NEEDED))
    assert shop.item().status is ItemStatus.DELIVERED

    shop.hear(refund("1"))
    assert shop.answer(RevokeByCommands, RevokeByCommands.Done()).published == [ItemRevoked(item="1")]


def test_a_field_that_the_note_lacks_does_not_keep_staff_from_settling() -> None:
    shop = bought(RANK.model_copy(update={"note": "Hi {{custom.nick}}"}))
    assert shop.item().code == "field_missing"

    settle(shop, "delivered")

    note = shop.item().instructions
    assert shop.item().status is ItemStatus.DELIVERED
    assert note is not None and note.note == "Done in the game."


def test_what_lacks_a_field_to_be_revoked_says_so_instead_of_being_in_doubt() -> None:
    shop = bought(RANK.model_copy(update={"revoke_commands": ("lp user {{custom.nick}} clear",)})).hear(MARK)

    (told,) = shop.hear(refund("1")).published

    assert isinstance(told, ItemRevocationFailed)
    assert told.code == "field_missing"
    assert "custom field nick" in told.text and "settle the item as revoked" in told.text
    assert (shop.open, shop.item().in_doubt) == ([], False)


def test_a_revocation_that_may_have_been_run_is_settled_before_it_is_run_again() -> None:
    for outcome in (RevokeByCommands.Unresolved("No answer."), failed(RevokeByCommands, "command_refused", "2", 1)):
        shop = given().hear(refund("1")).answer(RevokeByCommands, outcome)
        refused = shop.refuses(RetryDelivery(items=("1",)))
        assert (refused.code, "orderbus settle" in refused.text) == ("in_doubt", True)

        settle(shop, "not_revoked").hear(RetryDelivery(items=("1",)))
        assert shop.answer(RevokeByCommands, RevokeByCommands.Done()).published == [ItemRevoked(item="1")]


def test_a_revocation_that_may_be_run_twice_is_retried_without_more_ado() -> None:
    shop = bought(REPEATABLE).answer(RunRepeatableCommands, RunRepeatableCommands.Done()).hear(refund("1"))
    shop.answer(RevokeByRepeatableCommands, RevokeByRepeatableCommands.Unresolved("No answer."))
    assert len(shop.hear(RetryDelivery(items=("1",))).open) == 1


def test_an_unknown_outcome_on_one_server_is_settled_before_another_one_delivers() -> None:
    shop = bought(REPEATABLE).answer(RunRepeatableCommands, RunRepeatableCommands.Unresolved("No answer."))
    shop.configure("rank", REPEATABLE.model_copy(update={"server": "creative"}))
    assert shop.refuses(RetryDelivery(items=("1",), latest=True)).code == "in_doubt"

    shop.configure("rank", REPEATABLE.model_copy(update={"note": "Welcome."}))
    shop.hear(RetryDelivery(items=("1",), latest=True))
    assert shop.item().status is ItemStatus.IN_PROGRESS


def test_the_outcome_of_a_former_action_says_nothing_about_the_present_one() -> None:
    for outcome in (RunCommands.Done(), RunCommands.Unresolved("?"), failed(RunCommands, "not_needed", NOT_NEEDED)):
        shop = bought()
        first = shop.operation(RunCommands)
        settle(settle(shop, "not_delivered"), "not_delivered")
        shop.configure("rank", http_action())
        shop.hear(RetryDelivery(latest=True))

        shop.answer(first, outcome)

        assert shop.item().status is ItemStatus.IN_PROGRESS
        told = [event.text for event in shop.published if isinstance(event, ItemRevocationFailed)]
        assert bool(told) != isinstance(outcome, RunCommands.Failed)
        assert all("survival" in text for text in told)
        shop.answer(CallHttpAction, CallHttpAction.Done())
        assert shop.item().status is ItemStatus.DELIVERED


def test_what_a_worker_that_died_may_have_run_is_revoked_after_a_refund() -> None:
    """Calls that are safe to repeat are not counted before they are made."""
    shop = bought(REPEATABLE).hear(refund("1"))
    shop.answer(RunRepeatableCommands, failed(RunRepeatableCommands, "not_needed", NOT_NEEDED))
    done = RevokeByRepeatableCommands.Done()
    assert shop.answer(RevokeByRepeatableCommands, done).published == [ItemRevoked(item="1")]


def test_an_unknown_outcome_elsewhere_is_none_of_the_game_server() -> None:
    for outcome in (None, CallHttpAction.Unresolved("No answer.")):
        shop = action_shop(player="Ada_1")
        if outcome:
            shop.answer(CallHttpAction, outcome)
        shop.configure("physics", RANK)
        shop.hear(RetryDelivery(latest=True))
        assert bool(outcome) == any(isinstance(call, RevokeHttpAction) for _, call in shop.open)

        shop.answer(RunCommands, failed(RunCommands, "command_refused", "Correct the command."))

        assert (shop.item().status, shop.item().in_doubt) == (ItemStatus.FAILED, False)
        shop.hear(RetryDelivery(items=("1",)))
