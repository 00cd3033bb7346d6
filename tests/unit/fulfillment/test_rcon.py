"""Commands on game servers: run once, or again only where that does no harm; they wait for servers and players."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.game_server import GameServer
from services.fulfillment.domain.rcon_operations import (
    CheckServer,
    RconOperation,
    RevokeByCommands,
    RevokeByRepeatableCommands,
    RunCommands,
    RunRepeatableCommands,
    told_before,
)
from shared.contracts.checkout import OrderCancelled
from shared.contracts.connections import ConfigureServer, TestServer
from shared.contracts.delivery_work import MarkDeliveredDelivery, RevokeDelivery
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemProgressed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemSettled,
    ItemWaiting,
    RetryDelivery,
    SettleDelivery,
)
from shared.contracts.rcon import RconCommands
from shared.contracts.values import Instructions
from shared.core.scenario import Sent
from tests.unit.fulfillment.examples import PAID, Shop, line, placed, refund

RANK = RconCommands(
    server="survival",
    commands=("lp user {{custom.player}} parent add vip", "say Welcome {{custom.player}}"),
    revoke_commands=("lp user {{custom.player}} parent remove vip",),
    needs_player="{{custom.player}}",
    note="{{custom.player}} is a VIP now.",
)
REPEATABLE = RANK.model_copy(update={"repeatable": True})
SERVER = ConfigureServer(name="Survival", game="minecraft", host="mc.example", port=25575, password="rcon-survival")
KEY = "acme/server/survival"
OFFLINE = "Survival (mc.example:25575): it cannot be reached: Connection refused. Start the server."
AWAY = "Player Ada_1 is not online on Survival."


def bought(action: RconCommands = RANK, **custom: str) -> Shop:
    shop = Shop()
    shop.configure("rank", action)
    shop.hear(SERVER, KEY)
    shop.answer(CheckServer, CheckServer.Done("There are 0 of a max of 20 players online:"), key=KEY)
    fields = custom or {"player": "Ada_1"}
    rank = line("1", "rank").model_copy(update={"custom_fields": fields})
    return shop.given(placed(rank), PAID)


def failed(operation: type[RconOperation], code: str, text: str, carried_out: int = 0) -> Any:
    return operation.Failed(code, text, carried_out)


def server(shop: Shop) -> GameServer:
    found = shop.row(GameServer, KEY)
    assert found is not None
    return found


def test_commands_are_run_and_the_customer_reads_the_note() -> None:
    shop = bought()
    assert shop.requested == [
        RunCommands(
            server=KEY,
            order="o-1",
            item="1",
            commands=RANK.commands,
            fields=(("custom.player", "Ada_1"),),
            number=1,
            player="Ada_1",
        )
    ]

    shop.answer(RunCommands, RunCommands.Done(("Added vip", "")))

    note = Instructions(kind="manual", note="Ada_1 is a VIP now.")
    assert shop.published == [ItemDelivered(item="1", instructions=note, under_way=0)]
    assert shop.item().answers == ("Added vip", ""), "evidence"


def test_a_missing_field_fails_the_item_and_says_what_to_fix() -> None:
    shop = bought(other="x")
    (told,) = shop.published
    assert isinstance(told, ItemFailed)
    assert (told.code, shop.open) == ("field_missing", [])
    assert "custom field player" in told.text


def test_a_server_that_is_offline_is_tried_again_and_staff_are_told_once() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "server_offline", OFFLINE))
    (told,) = shop.published
    assert told == ItemWaiting(item="1", code="server_offline", text=OFFLINE, alert=True, under_way=0)
    assert shop.last.sent == [Sent(KEY, TestServer())]
    record = shop.told()[-1].executions[0]
    assert (record.status, record.code, record.text) == ("waiting_outside", "server_offline", OFFLINE)
    assert [attempt.error for attempt in shop.item().attempts] == [OFFLINE]

    shop.answer(CheckServer, CheckServer.Failed("server_offline", OFFLINE), key=KEY)
    shop.let_time_pass(timedelta(seconds=20))
    assert shop.published == []
    shop.answer(RunCommands, failed(RunCommands, "server_offline", OFFLINE))
    assert shop.published == []
    assert [attempt.error for attempt in shop.item().attempts] == [OFFLINE], "the same text is kept once"

    shop.let_time_pass(timedelta(seconds=40))
    shop.answer(RunCommands, RunCommands.Done())
    assert [type(event) for event in shop.published] == [ItemDelivered]


def test_a_player_who_is_away_is_awaited_without_alarm_and_at_most_for_as_long_as_the_product_says() -> None:
    shop = bought(RANK.model_copy(update={"wait_for": timedelta(minutes=2)}))
    shop.answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    assert shop.published == [ItemWaiting(item="1", code="player_offline", text=AWAY, under_way=0)]

    for _ in range(10):
        if shop.item().status is not ItemStatus.WAITING_OUTSIDE:
            break
        shop.let_time_pass(timedelta(minutes=1))
        shop.answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    assert shop.published[0] == ItemFailed(item="1", code="player_offline", text=AWAY, attempts=())
    assert shop.item().status is ItemStatus.FAILED

    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    assert shop.answer(RunCommands, RunCommands.Done()).item().status is ItemStatus.DELIVERED


def test_what_it_waits_for_by_now_is_told_when_that_changes() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    shop.let_time_pass(timedelta(seconds=20))
    shop.answer(RunCommands, failed(RunCommands, "server_offline", OFFLINE))
    assert shop.published == [ItemWaiting(item="1", code="server_offline", text=OFFLINE, alert=True, under_way=0)]


def test_staff_can_retry_at_once_what_waits_and_the_timer_does_nothing_more() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    shop.let_time_pass(timedelta(hours=1))
    assert len(shop.open) == 1
    shop.answer(RunCommands, RunCommands.Done())
    assert shop.item().status is ItemStatus.DELIVERED


def test_an_unknown_outcome_is_settled_by_staff_before_it_can_be_run_again() -> None:
    shop = bought().answer(RunCommands, RunCommands.Unresolved("Look at the server."))
    assert shop.published == [ItemFailed(item="1", code="unresolved", text="Look at the server.", attempts=())]

    refused = shop.refuses(RetryDelivery(items=("1",)))
    assert (refused.code, "orderbus settle" in refused.text) == ("in_doubt", True)

    shop.hear(SettleDelivery(item="1", outcome="not_delivered", reason="No rank on the server."))
    assert [type(event) for event in shop.published] == [ItemSettled]
    shop.hear(RetryDelivery())
    assert shop.operation(RunCommands).number == 2
    shop.answer(RunCommands, RunCommands.Done())
    assert shop.item().status is ItemStatus.DELIVERED


def test_an_unknown_outcome_is_settled_as_delivered() -> None:
    shop = bought().answer(RunCommands, RunCommands.Unresolved("Look at the server."))
    shop.hear(SettleDelivery(item="1", outcome="delivered", reason="Ada has it."))
    assert [type(event) for event in shop.published] == [ItemSettled, ItemDelivered]


def test_what_may_be_run_twice_is_retried_without_more_ado() -> None:
    shop = bought(REPEATABLE).answer(RunRepeatableCommands, RunRepeatableCommands.Unresolved("No answer."))
    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    assert RunRepeatableCommands.safe_to_repeat and not RunCommands.safe_to_repeat


def test_commands_of_which_some_were_carried_out_are_in_doubt() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "command_refused", "Command 2 is refused.", 1))
    assert shop.item().in_doubt
    assert shop.refuses(RetryDelivery(items=("1",))).code == "in_doubt"


def test_what_was_refused_as_a_whole_is_corrected_and_retried() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "field_unsafe", "Put it in quotes."))
    assert not shop.item().in_doubt
    shop.configure("rank", RANK.model_copy(update={"commands": ('say "{{custom.player}}"',)}))
    shop.hear(RetryDelivery(latest=True))
    assert shop.operation(RunCommands).commands == ('say "{{custom.player}}"',)


def test_a_refund_runs_the_commands_that_revoke() -> None:
    shop = bought().answer(RunCommands, RunCommands.Done())
    assert shop.hear(refund("1")).published == []
    call = shop.operation(RevokeByCommands)
    assert (call.commands, call.player, call.number) == (RANK.revoke_commands, "", 2)
    assert shop.answer(RevokeByCommands, RevokeByCommands.Done()).published == [ItemRevoked(item="1")]


def test_without_commands_for_it_nothing_is_revoked_on_the_server() -> None:
    shop = bought(RANK.model_copy(update={"revoke_commands": ()})).answer(RunCommands, RunCommands.Done())
    assert shop.hear(refund("1")).published == [ItemRevoked(item="1")]


def test_a_revocation_that_fails_is_told_and_can_be_retried() -> None:
    shop = bought(REPEATABLE).answer(RunRepeatableCommands, RunRepeatableCommands.Done()).given(OrderCancelled())
    shop.answer(RevokeByRepeatableCommands, failed(RevokeByRepeatableCommands, "gave_up", OFFLINE))
    assert shop.published == [ItemRevocationFailed(item="1", code="gave_up", text=OFFLINE)]
    shop.hear(RetryDelivery(items=("1",)))
    done = RevokeByRepeatableCommands.Done()
    assert shop.answer(RevokeByRepeatableCommands, done).published == [ItemRevoked(item="1")]


@pytest.mark.parametrize(
    ("outcome", "revokes"),
    [
        (RunCommands.Done(), True),
        (RunCommands.Unresolved("no answer"), True),
        (RunCommands.Failed("server_offline", OFFLINE), False),
        (RunCommands.Failed("command_refused", "Command 2 is refused.", 1), True),
        (RunCommands.Failed("not_needed", "Not run."), False),
    ],
)
def test_a_refund_while_the_commands_are_run_revokes_exactly_what_they_did(outcome: Any, *, revokes: bool) -> None:
    shop = bought().given(refund("1"))
    assert shop.item().status is ItemStatus.STOPPING
    shop.answer(RunCommands, outcome)
    if revokes:
        shop.answer(RevokeByCommands, RevokeByCommands.Done())
    assert shop.item().status is ItemStatus.REVOKED
    assert shop.open == []


def test_a_refund_ends_the_waiting() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    assert shop.hear(refund("1")).published == [ItemRevoked(item="1")]
    shop.let_time_pass(timedelta(days=1))
    assert shop.open == []


def test_a_refund_while_a_waiting_item_is_tried_again_waits_for_the_outcome() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    shop.let_time_pass(timedelta(seconds=30)).hear(refund("1"))
    assert shop.item().status is ItemStatus.STOPPING
    shop.answer(RunCommands, RunCommands.Done()).answer(RevokeByCommands, RevokeByCommands.Done())
    assert shop.item().status is ItemStatus.REVOKED


def test_what_staff_deliver_by_hand_while_it_is_tried_again_can_be_revoked() -> None:
    shop = bought().answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    shop.let_time_pass(timedelta(seconds=30)).hear(MarkDeliveredDelivery(items=("1",), reason="By hand."))
    shop.answer(RunCommands, failed(RunCommands, "player_offline", AWAY))
    shop.hear(RevokeDelivery(items=("1",), reason="Undone."))
    shop.answer(RevokeByCommands, RevokeByCommands.Done())
    assert shop.item().status is ItemStatus.REVOKED


def test_a_store_that_has_no_such_server_hears_of_it() -> None:
    shop = Shop()
    shop.configure("rank", RANK)
    rank = line("1", "rank").model_copy(update={"custom_fields": {"player": "Ada_1"}})
    shop.given(placed(rank), PAID)
    shop.answer(RunCommands, failed(RunCommands, "unknown_server", "Configure it."))
    assert [(type(event), getattr(event, "alert", None)) for event in shop.published] == [(ItemWaiting, True)]
    assert shop.item().lacks_setup, "it is listed among what waits for staff"
    shop.let_time_pass(timedelta(seconds=30))
    shop.answer(RunCommands, failed(RunCommands, "unknown_server", "Configure it."))
    assert [event for event in shop.published if not isinstance(event, ItemProgressed)] == []


# Servers


def test_a_server_is_tested_after_every_change_and_again_while_it_fails() -> None:
    shop = Shop()
    shop.hear(SERVER, KEY)
    check = shop.operation(CheckServer, KEY)
    assert (check.host, check.port, check.password, check.number) == ("mc.example", 25575, "rcon-survival", 1)
    shop.answer(CheckServer, CheckServer.Failed("wrong_password", "Set the secret."), key=KEY)
    health = server(shop).health
    assert health is not None
    assert (health.ok, health.code, health.text) == (False, "wrong_password", "Set the secret.")

    shop.let_time_pass(timedelta(minutes=2))
    shop.answer(CheckServer, CheckServer.Done("There are 0 players"), key=KEY)
    assert (server(shop).is_failing, server(shop).failures) == (False, 0)
    shop.let_time_pass(timedelta(days=1))
    assert shop.open == []


def test_the_result_of_an_earlier_test_is_ignored() -> None:
    shop = Shop()
    shop.hear(SERVER, KEY)
    first = shop.operation(CheckServer, KEY)
    shop.hear(SERVER.model_copy(update={"port": 25576}), KEY)
    shop.answer(first, CheckServer.Failed("server_offline", "at the old port"), key=KEY)
    assert server(shop).health is None


def test_only_a_server_that_is_known_can_be_tested() -> None:
    assert Shop().refuses(TestServer(), KEY).code == "unknown_server"
    assert Shop().refuses(SERVER, "acme/survival").code == "wrong_key"


def test_after_a_restore_what_was_told_as_delivered_is_not_run_again() -> None:
    shop = bought()
    call = shop.operation(RunCommands)
    (told,) = shop.answer(RunCommands, RunCommands.Done()).published
    assert isinstance(told, ItemDelivered)
    assert told_before(call, told) == RunCommands.Done()
    assert told_before(call, told.model_copy(update={"item": "2"})) is None
    assert told_before(call, told.model_copy(update={"execution": "1/2"})) is None


def test_what_staff_did_by_hand_while_it_was_tried_again_is_revoked_as_any_other() -> None:
    shop = bought().answer(RunCommands, RunCommands.Failed("player_offline", AWAY))
    shop.let_time_pass(timedelta(seconds=20))
    assert shop.item().is_calling
    shop.hear(MarkDeliveredDelivery(reason="Done on the console."))
    shop.answer(RunCommands, RunCommands.Failed("player_offline", AWAY))

    shop.hear(refund("1"))
    shop.answer(RevokeByCommands, RevokeByCommands.Done())
    assert shop.item().status is ItemStatus.REVOKED
