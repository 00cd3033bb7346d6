"""Calls that go on waiting say why, also in the status record, and go on by themselves."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.kinds.discord_role import GiveRole
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from services.fulfillment.domain.rcon_operations import RevokeByCommands, RunCommands
from services.fulfillment.domain.waiting_calls import LookAtCalls, ReadWaitingCalls
from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_status import ExecutionState
from tests.unit.fulfillment.examples import Shop, refund
from tests.unit.fulfillment.test_discord_role import bought as role_bought
from tests.unit.fulfillment.test_http_action import DONE, REVOKED
from tests.unit.fulfillment.test_http_action import shop as action_bought
from tests.unit.fulfillment.test_rcon import OFFLINE
from tests.unit.fulfillment.test_rcon import bought as rank_bought

UNSET = "The store's secret school is not set: orderbus secrets set."
WRONG = "Discord answered 401: the bot's token is invalid. Set the store's secret bot again."


def looked(shop: Shop, *reasons: tuple[str, str]) -> Shop:
    return shop.let_go_off(LookAtCalls).answer(ReadWaitingCalls, ReadWaitingCalls.Done(reasons))


def last(shop: Shop) -> ExecutionState:
    return shop.told()[-1].executions[0]


def test_an_http_action_whose_secret_is_not_set_is_shown_with_its_remedy_and_goes_on() -> None:
    shop = looked(action_bought(), ("1", UNSET))
    assert (last(shop).status, last(shop).code, last(shop).text) == ("in_progress", "call_waits", UNSET)
    assert shop.published == [], "customers and orders are told nothing"

    told = len(shop.told())
    assert len(looked(shop, ("1", UNSET)).told()) == told, "it is told once"

    shop.answer(CallHttpAction, DONE)
    assert (last(shop).status, last(shop).code, last(shop).text) == ("delivered", None, "")
    assert (shop.timer(LookAtCalls), shop.open) == (None, [])


def test_a_role_whose_bot_has_a_wrong_token_is_shown_with_its_remedy_and_fails_as_any() -> None:
    shop = looked(role_bought(), ("1", WRONG))
    assert (last(shop).code, last(shop).text) == ("call_waits", WRONG)
    shop.answer(GiveRole, GiveRole.Failed("unknown_member", "Ask them to join."))
    assert (last(shop).status, last(shop).text) == ("failed", "Ask them to join.")


def test_a_revocation_that_waits_for_a_game_server_is_shown_with_its_remedy() -> None:
    shop = looked(rank_bought().answer(RunCommands, RunCommands.Done()).hear(refund("1")), ("1", OFFLINE))
    assert (last(shop).status, last(shop).code, last(shop).text) == ("revoking", "call_waits", OFFLINE)
    shop.answer(RevokeByCommands, RevokeByCommands.Done())
    assert (last(shop).status, last(shop).text) == ("revoked", "")


def test_what_waits_no_more_is_shown_so_and_looked_at_ever_more_rarely() -> None:
    shop = looked(looked(action_bought(), ("1", UNSET)))
    assert (shop.item().status, shop.item().code, shop.item().text) == (ItemStatus.IN_PROGRESS, "", "")
    shop.let_time_pass(timedelta(seconds=79))
    assert not shop.last.of(ReadWaitingCalls)
    shop.let_time_pass(timedelta(seconds=2)).answer(ReadWaitingCalls, ReadWaitingCalls.Failed("gave_up", "x"))
    assert shop.timer(LookAtCalls)


def test_a_cancelled_order_says_nothing_of_a_call_that_has_ended() -> None:
    shop = looked(action_bought(), ("1", UNSET)).hear(OrderCancelled())
    shop.answer(CallHttpAction, CallHttpAction.Failed("not_needed", "Not retried."))
    assert (last(shop).status, last(shop).text) == ("revoked", "")


def test_without_calls_no_look_is_taken() -> None:
    shop = action_bought().answer(CallHttpAction, DONE).hear(refund("1")).answer(RevokeHttpAction, REVOKED)
    assert shop.timer(LookAtCalls) is None
    assert shop.hear(LookAtCalls()).requested == []
