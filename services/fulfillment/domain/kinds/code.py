"""Redemption codes: taken from a pool, all of an item or none. An item waits while its pool has too few."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange, reason_of
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.kind import Kind, give_codes
from services.fulfillment.domain.locks import queues
from services.fulfillment.domain.low_pools import STILL_LOW_AFTER, tell_if_low
from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    GiveCodes,
    PoolStillLow,
    RecheckPools,
    ReturnCodes,
    TakeCode,
)
from services.fulfillment.domain.pool import CodePool
from shared.contracts.fulfillment import Action, DeliveryCodesArrived, RedemptionCode
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Outcome, Ref
from shared.core.fast_dataclasses import replace


class CodeKind(Kind[RedemptionCode]):
    ended_by = (TakeCode, GiveCodes)

    def begin(self, change: DeliveryChange, item: Item, action: RedemptionCode) -> None:
        count = item.quantity * action.per_unit
        change.request(TakeCode(change.state.row_key(action.pool), change.context.key, item.id, count))

    def deliver_by_hand(self, change: DeliveryChange, item: Item, given: Instructions, *, quiet: bool) -> None:
        """Codes only once they are recorded."""
        pool = pool_of(item)
        if given.kind != "code" or pool is None:
            super().deliver_by_hand(change, item, given, quiet=quiet)
            return
        started = change.update_item(change.leave_queue(item), status=ItemStatus.IN_PROGRESS, code="", text="")
        give_codes(change, started, change.state.row_key(pool), given, quiet=quiet)

    def can_restart(self, item: Item, latest: Action | None) -> bool:
        """Not while a call is taking codes."""
        return item.status is ItemStatus.FAILED or item.lacks_code

    def replace(self, change: DeliveryChange, item: Item, action: Action | None) -> None:
        """What a call of unknown outcome took of another pool."""
        pool = pool_of(item)
        if pool and item.in_doubt and not (isinstance(action, RedemptionCode) and action.pool == pool):
            return_unseen(change, item, change.state.row_key(pool))
            change.update_item(change.item(item.id), in_doubt=False)

    def revoke(self, change: DeliveryChange, item: Item) -> None:
        """Codes that the customer has seen can only be marked; those of an unknown outcome are returned."""
        pool = pool_of(item)
        if pool and item.in_doubt:
            return_unseen(change, item, change.state.row_key(pool))
        super().revoke(change, change.item(item.id))


def pool_of(item: Item) -> str | None:
    """The pool, by its name in the store, that its codes come from."""
    return item.action.pool if isinstance(item.action, RedemptionCode) else None


def return_unseen(change: DeliveryChange, item: Item, pool: str) -> None:
    """What a call took for it, to its pool. A customer who has had codes of it has seen these: the same call for the
    same item takes the same ones."""
    if not item.has_seen_codes:
        change.request(ReturnCodes(pool, change.context.key, item.id))
        change.update_item(item, returning=item.returning + 1)


def requested_pools(message: object, key: str, delivery: Delivery) -> list[Ref[CodePool]]:
    """The pools of which calls are taking codes."""
    pools = [pool_of(item) for item in delivery.items if item.expects_code]
    return [Ref(CodePool, delivery.row_key(pool)) for pool in pools if pool]


def pools_of(message: object, key: str, delivery: Delivery) -> list[Ref[CodePool]]:
    """All pools that its codes come from."""
    names = {pool for item in delivery.items if (pool := pool_of(item))}
    return [Ref(CodePool, delivery.row_key(name)) for name in sorted(names)]


def pools_touched(outcome: TakeCode.Done, key: str, delivery: Delivery) -> list[Ref[CodePool]]:
    """Those in whose queues it waits; and where few codes are left, those of its items."""
    low = pools_of(outcome, key, delivery) if outcome.left is not None else []
    return list(dict.fromkeys((*queues(outcome, key, delivery), *low)))


def returned(change: DeliveryChange, item: Item) -> Item:
    """A call that returns codes has ended."""
    return change.update_item(item, returning=max(0, item.returning - 1))


CODE = CodeKind()


@deliveries.answers(TakeCode.Done, locks=pools_touched)
def codes_taken(delivery: Delivery, take: TakeCode, outcome: TakeCode.Done, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(take.item)
    if item.expects_code or item.lacks_code:
        change.deliver_item(item, code_instructions(outcome.codes))
        tell_if_low(change, take.pool, outcome.left)
    elif item.status is not ItemStatus.DELIVERED:  # cancelled meanwhile
        return_unseen(change, item, take.pool)
    return change.decision()


def code_instructions(codes: tuple[str, ...]) -> Instructions:
    joined = ", ".join(codes)
    several = codes if len(codes) > 1 else ()
    return Instructions(kind="code", code=joined if len(joined) <= 200 else f"{len(codes)} codes", codes=several)


@deliveries.answers(TakeCode.Failed, locks=requested_pools)
def codes_not_taken(
    delivery: Delivery, take: TakeCode, outcome: TakeCode.Failed, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(take.item)
    was_in_progress = item.status is ItemStatus.IN_PROGRESS
    if item.expects_code and outcome.code == POOL_EMPTY:
        pool = change.other(CodePool, take.pool) or CodePool()
        is_first = not pool.waiting and was_in_progress  # staff are told once, not per order, and not of a recheck
        if is_first or not pool.low_since:
            since, told = pool.low_since or context.at, context.at if is_first else pool.told
            change.put(CodePool, take.pool, replace(pool, low_since=since, told=told))
        item = change.await_item(
            item, ItemStatus.WAITING_CODE, *reason_of(outcome), alert=is_first, code_requested=False
        )
        change.join_queue(item, take.pool)
        change.timer(context.at + outcome.recheck_after, RecheckPools())
        if was_in_progress:
            change.timer(context.at + STILL_LOW_AFTER, PoolStillLow())
    elif item.expects_code:
        change.fail_item(item, *reason_of(outcome))
    return change.decision()


@deliveries.answers(TakeCode.Unresolved, locks=requested_pools)
def codes_unresolved(
    delivery: Delivery, take: TakeCode, outcome: TakeCode.Unresolved, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = change.item(take.item)
    if item.expects_code:
        change.fail_item(item, *reason_of(outcome), in_doubt=True)
    return change.decision()


@deliveries.on(RecheckPools)
def recheck_due(delivery: Delivery, message: RecheckPools, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    if delivery.stage is Stage.PAID:
        for item in delivery.items:
            _recheck_pool(change, item)
    return change.decision()


@deliveries.begins(DeliveryCodesArrived, locks=queues)
def codes_arrived(delivery: Delivery | None, message: DeliveryCodesArrived, context: Context) -> Decision[Delivery]:
    """The pool has taken the order off its queue; it joins again if there are too few codes. Never refused."""
    if delivery is None:
        return Decision(None)
    change = DeliveryChange(delivery, context)
    for item in delivery.items:
        if pool_of(item) == message.pool:
            _recheck_pool(change, change.leave_queue(item))
    return change.decision()


def _recheck_pool(change: DeliveryChange, item: Item) -> None:
    """Nothing is published about it: the item goes on waiting until there are codes."""
    if item.lacks_code and isinstance(item.action, RedemptionCode):
        CODE.begin(change, item, item.action)
        change.update_item(item, code_requested=True)


@deliveries.answers(ReturnCodes.Done, ReturnCodes.Failed, ReturnCodes.Unresolved)
def codes_returned(delivery: Delivery, codes: ReturnCodes, outcome: Outcome, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    returned(change, change.item(codes.item))
    return change.decision()
