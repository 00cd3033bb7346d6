"""Commands on a game server. They wait for a server that is offline and for a player who is not there, and are not run
twice unless the product says that this does no harm.

```
in_progress ──► delivered                      done
            ──► waiting_outside ──► …          server or player offline: tried again, at most for `wait_for`
            ──► failed                         refused by the server, unsafe or missing fields
            ──► failed, in_doubt               it broke off: staff look at the server, settle it, and may retry it then
```
"""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.change import DeliveryChange, name_of, reason_of
from services.fulfillment.domain.delivery import (
    WAITING,
    Delivery,
    Item,
    ItemStatus,
    OutsideWait,
    Stage,
    deliveries,
)
from services.fulfillment.domain.fields import FIELD_MISSING, fields_of, irrevocable_text, missing_text
from services.fulfillment.domain.game_server import GameServer, server_name
from services.fulfillment.domain.kind import Kind
from services.fulfillment.domain.rcon_operations import (
    GRANTS,
    NOT_NEEDED,
    PLAYER_OFFLINE,
    REVOCATIONS,
    TRIED_AGAIN,
    RconOperation,
    RevokeByCommands,
    RevokeByRepeatableCommands,
    RunCommands,
    RunRepeatableCommands,
    TryAgain,
)
from services.fulfillment.domain.waiting_calls import watch, watched
from shared.contracts.connections import TestServer
from shared.contracts.fulfillment import Action, ItemRevocationFailed, ItemWaiting
from shared.contracts.rcon import RconCommands
from shared.contracts.templates import MissingFields, fill, placeholders
from shared.contracts.values import Instructions
from shared.core import Attempt, Context, Decision, FailedOutcome, Ref, UnresolvedOutcome
from shared.core.fast_dataclasses import replace
from shared.core.waits import growing_wait

FIRST_RECHECK, LONGEST_RECHECK = timedelta(seconds=15), timedelta(minutes=5)
DONE = "Done in the game."
CANCELLABLE = (ItemStatus.IN_PROGRESS, *WAITING, ItemStatus.STOPPING, ItemStatus.FAILED)
"""A cancellation, or the outcome of another call, is still to come, and revokes what is in doubt then."""


class RconKind(Kind[RconCommands]):
    ended_by = (*GRANTS, *REVOCATIONS)
    settleable = True

    def begin(self, change: DeliveryChange, item: Item, action: RconCommands) -> None:
        item = change.update_item(item, outside=None, answers=())
        fields = fields_of(change.state, change.context.key, item)
        try:
            for text in (*action.commands, *action.revoke_commands, action.needs_player or "", action.note or ""):
                fill(text, fields, str)
        except MissingFields as missing:
            change.fail_item(item, FIELD_MISSING, missing_text(missing))
            return
        _request(change, item, action)

    def can_restart(self, item: Item, latest: Action | None) -> bool:
        """Not what may have been done already, unless it may be done twice and is revoked in the same way: staff settle
        it first."""
        if item.is_calling or _may_be_done(item) or (item.in_doubt and _is_other_place(item, latest)):
            return False
        return item.status is ItemStatus.WAITING_OUTSIDE or super().can_restart(item, latest)

    def replace(self, change: DeliveryChange, item: Item, action: Action | None) -> None:
        change.cancel_timer(_timer_of(item))

    def revoke(self, change: DeliveryChange, item: Item) -> None:
        change.cancel_timer(_timer_of(item))
        if item.status is ItemStatus.IN_PROGRESS or (item.status is ItemStatus.WAITING_OUTSIDE and item.is_calling):
            change.update_item(item, status=ItemStatus.STOPPING)
        elif item.status is ItemStatus.DELIVERED or item.in_doubt:
            revoke_commands(change, item)
        else:
            change.mark_revoked(item, outside=None)

    def revoke_again(self, change: DeliveryChange, item: Item) -> None:
        revoke_commands(change, item)

    def can_revoke_again(self, item: Item) -> bool:
        """Not what may have been run already, unless it may be run twice: staff settle it first."""
        return not _may_be_done(item)

    def settle_as_delivered(self, change: DeliveryChange, item: Item) -> None:
        if item.status is ItemStatus.STOPPING:
            revoke_commands(change, item)
        else:
            deliver(change, item)


RCON = RconKind()


def commands_of(item: Item) -> RconCommands | None:
    """None: it is delivered in another way by now."""
    return item.action if isinstance(item.action, RconCommands) else None


def _may_be_done(item: Item) -> bool:
    action = commands_of(item)
    return item.in_doubt and action is not None and not action.repeatable


def _is_other_place(item: Item, latest: Action | None) -> bool:
    """What was perhaps done would not be revoked there."""
    mine = commands_of(item)
    if mine is None or latest is None:
        return False
    return not isinstance(latest, RconCommands) or (
        (mine.server, mine.revoke_commands) != (latest.server, latest.revoke_commands)
    )


def _timer_of(item: Item) -> str:
    return f"TryAgain {item.id}"


# Requests


def _request(change: DeliveryChange, item: Item, action: RconCommands) -> None:
    kind = RunRepeatableCommands if action.repeatable else RunCommands
    change.request(_call(kind, change, item, action, action.commands))


def _call(
    kind: type[RconOperation], change: DeliveryChange, item: Item, action: RconCommands, commands: tuple[str, ...]
) -> RconOperation:
    item = change.update_item(item, calls=item.calls + 1)
    fields = fields_of(change.state, change.context.key, item)
    needed = dict.fromkeys(name for command in commands for name in placeholders(command))
    is_grant = issubclass(kind, GRANTS)
    return kind(
        server=change.state.row_key(server_name(action.server)),
        order=change.context.key,
        item=item.id,
        commands=commands,
        fields=tuple((name, fields[name]) for name in needed if name in fields),
        number=item.calls,
        player=fill(action.needs_player, fields, str) if is_grant and action.needs_player else "",
    )


def revoke_commands(change: DeliveryChange, item: Item) -> None:
    """Without commands for it there is nothing to do on the server."""
    action = commands_of(item)
    if action is None or not action.revoke_commands:
        change.mark_revoked(item, code="", text="", outside=None)
        return
    fields = fields_of(change.state, change.context.key, item)
    try:
        for command in action.revoke_commands:
            fill(command, fields, str)
    except MissingFields as missing:
        _revocation_failed(change, item, FIELD_MISSING, irrevocable_text(missing))
        return
    item = change.update_item(item, status=ItemStatus.REVOKING, outside=None, in_doubt=False)
    kind = RevokeByRepeatableCommands if action.repeatable else RevokeByCommands
    change.request(_call(kind, change, item, action, action.revoke_commands))
    watch(change)


def deliver(change: DeliveryChange, item: Item, answers: tuple[str, ...] = ()) -> None:
    action = commands_of(item)
    item = change.update_item(item, outside=None, answers=answers, in_doubt=False)
    note = _note_of(change, item, action) if action and action.note else DONE
    change.deliver_item(item, Instructions(kind="manual", note=note[:2000]))


def _note_of(change: DeliveryChange, item: Item, action: RconCommands) -> str:
    """Staff may have done what lacked a field."""
    try:
        return fill(action.note or "", fields_of(change.state, change.context.key, item), str)
    except MissingFields:
        return DONE


# Outcomes


def server_of(outcome: object, key: str, delivery: Delivery) -> list[Ref[GameServer]]:
    """The servers of items that are being delivered."""
    actions = [commands_of(item) for item in delivery.items]
    names = dict.fromkeys(action.server for action in actions if action)
    return [Ref(GameServer, delivery.row_key(server_name(name))) for name in names]


def _is_former(delivery: Delivery, item: Item, call: RconOperation) -> bool:
    """The item is delivered in another way by now."""
    action = commands_of(item)
    present = action and (delivery.row_key(server_name(action.server)), action.commands)
    return present != (call.server, call.commands)


def _is_superseded(delivery: Delivery, item: Item, call: RconOperation) -> bool:
    """Another call decides about the item."""
    return item.calls != call.number or _is_former(delivery, item, call)


def _perhaps_done_before(change: DeliveryChange, item: Item, call: RconOperation) -> None:
    """By a call that does not count any more."""
    if _is_former(change.state, item, call):
        server = call.server.rpartition("/")[2]
        text = f"Commands of the former action may have been run on game server {server}. Look there, and undo them."
        item = change.update_item(item.tried([Attempt(at=change.context.at, error=text)]))
        change.publish(ItemRevocationFailed(item=item.about, code="former_action", text=text))
    elif item.status in CANCELLABLE:
        change.update_item(item, in_doubt=True)


@deliveries.answers(RunCommands.Done, RunRepeatableCommands.Done)
def done(delivery: Delivery, call: RconOperation, outcome: RconOperation.Done, context: Context) -> Decision[Delivery]:
    """Also when the item has failed or was cancelled since: the player has it now."""
    change = DeliveryChange(delivery, context)
    item = change.item(call.item)
    if _is_former(delivery, item, call):
        _perhaps_done_before(change, item, call)
    elif item.status in (ItemStatus.IN_PROGRESS, ItemStatus.WAITING_OUTSIDE, ItemStatus.FAILED):
        deliver(change, item, outcome.said)
    elif item.status is not ItemStatus.DELIVERED:
        revoke_commands(change, item)
    return change.decision()


@deliveries.answers(RunCommands.Failed, RunRepeatableCommands.Failed, reads=server_of)
def not_done(
    delivery: Delivery, call: RconOperation, outcome: RconOperation.Failed, context: Context
) -> Decision[Delivery]:
    """After several calls, or some of the commands, something may have been carried out."""
    change = DeliveryChange(delivery, context)
    item = change.item(call.item)
    repeated = bool(context.attempts) or outcome.code == NOT_NEEDED  # a worker may have died during the first one
    perhaps_done = bool(outcome.carried_out) or (repeated and isinstance(call, RunRepeatableCommands))
    if _is_superseded(delivery, item, call):
        if perhaps_done:
            _perhaps_done_before(change, item, call)
    elif item.status is ItemStatus.STOPPING:
        if perhaps_done or item.in_doubt:
            revoke_commands(change, item)
        else:
            change.mark_revoked(item, code="", text="", outside=None)
    elif item.status in (ItemStatus.IN_PROGRESS, ItemStatus.WAITING_OUTSIDE):
        if outcome.code in TRIED_AGAIN and delivery.stage is Stage.PAID:
            _await(change, item, call, outcome, in_doubt=perhaps_done)
        else:
            _fail(change, item, outcome, in_doubt=perhaps_done)
    return change.decision()


def _await(
    change: DeliveryChange, item: Item, call: RconOperation, outcome: RconOperation.Failed, *, in_doubt: bool
) -> None:
    """Until it is possible. Staff are told once of a server, not for each order."""
    code, text = reason_of(outcome)
    at, action = change.context.at, commands_of(item)
    wait = replace(item.outside, tries=item.outside.tries + 1, calling=False) if item.outside else OutsideWait(at)
    wait = replace(wait, for_staff=code != PLAYER_OFFLINE)
    ends = wait.since + action.wait_for if action else at
    if at >= ends:
        _fail(change, item, outcome, in_doubt=in_doubt)
        return
    server = change.other(GameServer, call.server)
    is_news = code != PLAYER_OFFLINE and server is not None and not server.is_failing
    if is_news:
        change.send(call.server, TestServer())
    if not item.attempts or item.attempts[-1].error != text:
        item = item.tried([*change.context.attempts, Attempt(at=at, error=text)])
    alert = is_news or (server is None and item.outside is None)
    due = min(at + growing_wait(FIRST_RECHECK, LONGEST_RECHECK, wait.tries), ends)
    if item.status is ItemStatus.WAITING_OUTSIDE and item.code != code:  # it waits for something else by now
        change.publish(ItemWaiting(item=item.about, code=code, text=text, alert=alert, name=name_of(item)))
    item = change.await_item(item, ItemStatus.WAITING_OUTSIDE, code, text, alert=alert)
    change.update_item(item, outside=wait, in_doubt=item.in_doubt or in_doubt)
    change.timer(due, TryAgain(item.id), _timer_of(item))


def _fail(change: DeliveryChange, item: Item, outcome: FailedOutcome | UnresolvedOutcome, *, in_doubt: bool) -> None:
    item = change.update_item(item, outside=None)
    change.fail_item(item, *reason_of(outcome), in_doubt=in_doubt)


@deliveries.answers(RunCommands.Unresolved, RunRepeatableCommands.Unresolved)
def unresolved(
    delivery: Delivery, call: RconOperation, outcome: RconOperation.Unresolved, context: Context
) -> Decision[Delivery]:
    """It may have been done: also where staff had settled or cancelled the item meanwhile."""
    change = DeliveryChange(delivery, context)
    item = change.item(call.item)
    if _is_former(delivery, item, call) or (item.calls != call.number and item.status in CANCELLABLE):
        _perhaps_done_before(change, item, call)
    elif item.status in (ItemStatus.IN_PROGRESS, ItemStatus.WAITING_OUTSIDE):
        _fail(change, item, outcome, in_doubt=True)
    elif item.status is ItemStatus.FAILED:
        change.update_item(item, in_doubt=True)
    elif item.status is not ItemStatus.DELIVERED:
        revoke_commands(change, item)
    return change.decision()


@deliveries.on(TryAgain)
def due_again(delivery: Delivery, message: TryAgain, context: Context) -> Decision[Delivery]:
    """Nothing is published about it: the item goes on waiting."""
    change = DeliveryChange(delivery, context)
    item = delivery.find(message.item)
    action = commands_of(item) if item else None
    if item and action and item.status is ItemStatus.WAITING_OUTSIDE and item.outside and not item.outside.calling:
        item = change.update_item(item, outside=replace(item.outside, calling=True))
        _request(change, item, action)
    return change.decision()


@deliveries.answers(RevokeByCommands.Done, RevokeByRepeatableCommands.Done)
def revoked(
    delivery: Delivery, call: RconOperation, outcome: RconOperation.Done, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(call.item)
    if item.status in (ItemStatus.REVOKING, ItemStatus.REVOCATION_FAILED):
        change.mark_revoked(item, code="", text="", answers=(*item.answers, *outcome.said)[-40:])
    return watched(change)


@deliveries.answers(
    RevokeByCommands.Failed,
    RevokeByCommands.Unresolved,
    RevokeByRepeatableCommands.Failed,
    RevokeByRepeatableCommands.Unresolved,
)
def not_revoked(
    delivery: Delivery,
    call: RconOperation,
    outcome: RconOperation.Failed | RconOperation.Unresolved,
    context: Context,
) -> Decision[Delivery]:
    """By a call that another one has replaced: that one decides."""
    change = DeliveryChange(delivery, context)
    item = change.item(call.item)
    if item.status is ItemStatus.REVOKING and item.calls == call.number:
        item = item.tried(context.attempts)
        perhaps_done = not isinstance(outcome, FailedOutcome) or bool(outcome.carried_out)
        _revocation_failed(change, item, *reason_of(outcome), in_doubt=perhaps_done)
    return watched(change)


def _revocation_failed(change: DeliveryChange, item: Item, code: str, text: str, *, in_doubt: bool = False) -> None:
    """`in_doubt`: some of the commands may have been run."""
    failed = ItemStatus.REVOCATION_FAILED
    change.update_item(item, status=failed, code=code, text=text, outside=None, in_doubt=in_doubt)
    change.publish(ItemRevocationFailed(item=item.about, code=code, text=text))
