"""The order is paid: do for each item what its product says, and take note of what comes of it."""

from __future__ import annotations

from services.fulfillment.domain.deliveries import (
    Change,
    asked_pools,
    current_products,
    deliveries,
    held_stock,
    joined_pools,
)
from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    GrantAccess,
    LookForCodes,
    PutBackCodes,
    RevokeAccess,
    SignDownload,
    TakeCode,
)
from services.fulfillment.domain.states import (
    Action,
    CourseAccess,
    Delivery,
    Download,
    Item,
    ItemStatus,
    Product,
    RedemptionCode,
    Stage,
    pool_of,
    row_key,
)
from shared.contracts.checkout import OrderPaid
from shared.contracts.fulfillment import DeliveryCodesArrived, ItemDelivered, ItemFailed, ItemRevoked, ItemWaiting
from shared.contracts.values import Instructions
from shared.core import Context, Decision, FailedOutcome, UnresolvedOutcome
from shared.core.fast_dataclasses import replace

WAITS_FOR_PARCEL = "waits for a parcel to be sent"


@deliveries.on_old(OrderPaid, holds=held_stock, looks_up=current_products)
def paid(delivery: Delivery | None, message: OrderPaid, context: Context) -> Decision[Delivery]:
    if delivery is None or delivery.stage is not Stage.PLACED:
        return Decision(delivery)
    change = Change(replace(delivery, stage=Stage.PAID), context)
    for item in delivery.items:
        if item.status is ItemStatus.PLANNED:
            begin(change, change.take(item), item.action or configured(change, item))
    return change.decision()


def configured(change: Change, item: Item) -> Action | None:
    """What the product says today."""
    product = change.context.row(Product, row_key(change.delivery.store, item.sku))
    return product.action if product else None


def begin(change: Change, item: Item, action: Action | None) -> None:
    """Start the delivery of one item."""
    item = replace(item, action=action, code="", text="", status=ItemStatus.UNDER_WAY)
    if item.unrevoked and isinstance(action, CourseAccess):
        item = item.revoked_at(action.url)
    match item.effective_action():
        case Download(expires_after=lasts):
            change.put(item)
            change.operations.append(SignDownload(change.context.key, item.id, change.context.at + lasts))
        case RedemptionCode():
            change.put(item)
            change.operations.append(change.take_code(item))
        case CourseAccess():
            change.put(item)
            grant_access(change, item)
        case None:
            text = f"no delivery configured for SKU {item.sku}: configure it and retry"
            fail(change, item, "not_configured", text)
        case parcel:
            waiting = replace(item, action=parcel, status=ItemStatus.WAITING_PARCEL, code="shipment")
            change.put(replace(waiting, text=WAITS_FOR_PARCEL))
            change.events.append(ItemWaiting(item=item.id, code="shipment", text=WAITS_FOR_PARCEL))


def deliver(change: Change, item: Item, instructions: Instructions) -> None:
    attempts = tuple(change.context.attempts)
    done = replace(item, status=ItemStatus.DELIVERED, instructions=instructions, looking=False, code="", text="")
    change.put(change.strike_off(done).tried(attempts))
    change.events.append(ItemDelivered(item=item.id, instructions=instructions, under_way=0, attempts=attempts))


def fail(change: Change, item: Item, code: str, text: str, *, doubtful: bool = False) -> None:
    attempts = tuple(change.context.attempts)
    failed = replace(item, status=ItemStatus.FAILED, looking=False, code=code, text=text)
    failed = replace(failed, doubtful=item.doubtful or doubtful)
    change.put(change.strike_off(failed).tried(attempts))
    change.events.append(ItemFailed(item=item.id, code=code, text=text, attempts=attempts))


def affected(delivery: Delivery | None, context: Context) -> tuple[Delivery, Item]:
    """The item that an outcome is about."""
    id = getattr(context.operation, "item", "")
    item = delivery.item(id) if delivery else None
    if delivery is None or item is None:
        raise LookupError(f"an outcome for item {id!r}, which the order does not have")
    return delivery, item


def why(outcome: FailedOutcome | UnresolvedOutcome) -> tuple[str, str]:
    """Code and text, within what a message may carry."""
    code = outcome.code if isinstance(outcome, FailedOutcome) else "unresolved"
    return code[:200], outcome.text[:2000]


# Downloads


@deliveries.on_old(SignDownload.Done)
def signed(delivery: Delivery | None, outcome: SignDownload.Done, context: Context) -> Decision[Delivery]:
    delivery, item = affected(delivery, context)
    if item.status is not ItemStatus.UNDER_WAY:  # called off meanwhile: nobody gets to see the link
        return Decision(delivery)
    assert isinstance(context.operation, SignDownload)
    change = Change(delivery, context)
    deliver(change, item, Instructions(kind="download", link=outcome.link, expires=context.operation.expires))
    return change.decision()


@deliveries.on_old(SignDownload.Failed, SignDownload.Unresolved)
def not_signed(
    delivery: Delivery | None, outcome: SignDownload.Failed | SignDownload.Unresolved, context: Context
) -> Decision[Delivery]:
    delivery, item = affected(delivery, context)
    if item.status is not ItemStatus.UNDER_WAY:
        return Decision(delivery)
    change = Change(delivery, context)
    fail(change, item, *why(outcome))
    return change.decision()


# Codes


@deliveries.on_old(TakeCode.Done, holds=joined_pools)
def code_taken(delivery: Delivery | None, outcome: TakeCode.Done, context: Context) -> Decision[Delivery]:
    delivery, item = affected(delivery, context)
    change = Change(delivery, context)
    if item.may_get_a_code:
        deliver(change, item, code_instructions(outcome.codes))
    elif item.status is not ItemStatus.DELIVERED:  # called off meanwhile: nobody has seen the codes
        assert isinstance(context.operation, TakeCode)
        change.operations.append(PutBackCodes(context.operation.pool, context.key, item.id))
    return change.decision()


def code_instructions(codes: tuple[str, ...]) -> Instructions:
    joined = ", ".join(codes)
    several = codes if len(codes) > 1 else ()
    return Instructions(kind="code", code=joined if len(joined) <= 200 else f"{len(codes)} codes", codes=several)


@deliveries.on_old(TakeCode.Failed, holds=asked_pools)
def no_code(delivery: Delivery | None, outcome: TakeCode.Failed, context: Context) -> Decision[Delivery]:
    delivery, item = affected(delivery, context)
    if not item.may_get_a_code:
        return Decision(delivery)
    change = Change(delivery, context)
    if outcome.code != POOL_EMPTY:
        fail(change, item, *why(outcome))
        return change.decision()
    code, text = why(outcome)
    waiting = replace(item, status=ItemStatus.WAITING_CODE, looking=False, code=code, text=text)
    change.put(change.enrol(waiting))
    change.look_again(outcome)
    if item.status is ItemStatus.UNDER_WAY:  # otherwise everybody knows already that it waits
        change.events.append(ItemWaiting(item=item.id, code=code, text=text))
    return change.decision()


@deliveries.on_old(TakeCode.Unresolved, holds=asked_pools)
def code_unresolved(delivery: Delivery | None, outcome: TakeCode.Unresolved, context: Context) -> Decision[Delivery]:
    delivery, item = affected(delivery, context)
    if not item.may_get_a_code:
        return Decision(delivery)
    change = Change(delivery, context)
    fail(change, item, *why(outcome), doubtful=True)
    return change.decision()


@deliveries.on_old(LookForCodes)
def look_for_codes(delivery: Delivery | None, message: LookForCodes, context: Context) -> Decision[Delivery]:
    if delivery is None or delivery.stage is not Stage.PAID:
        return Decision(delivery)
    change = Change(delivery, context)
    for item in delivery.items:
        if item.status is ItemStatus.WAITING_CODE and not item.looking:
            change.put(change.look_for_codes(item))
    return change.decision()


@deliveries.on_old(DeliveryCodesArrived, holds=joined_pools)
def codes_arrived(delivery: Delivery | None, message: DeliveryCodesArrived, context: Context) -> Decision[Delivery]:
    """The order looks, so it is off the pool's list; if it finds too few it enrols again."""
    if delivery is None:
        return Decision(None)
    change = Change(delivery, context)
    for item in delivery.items:
        if pool_of(item) == message.pool:
            change.put(change.strike_off(item))
    for item in change.delivery.waiting_for(message.pool):
        if not item.looking:
            change.put(change.look_for_codes(item))
    return change.decision()


@deliveries.on_old(PutBackCodes.Done, PutBackCodes.Failed, PutBackCodes.Unresolved)
def codes_put_back(
    delivery: Delivery | None,
    outcome: PutBackCodes.Done | PutBackCodes.Failed | PutBackCodes.Unresolved,
    context: Context,
) -> Decision[Delivery]:
    return Decision(delivery)


# Courses


@deliveries.on_old(GrantAccess.Done)
def granted(delivery: Delivery | None, outcome: GrantAccess.Done, context: Context) -> Decision[Delivery]:
    """Also after a person had given it up, or it was called off: the customer has access now."""
    delivery, item = affected(delivery, context)
    change = Change(delivery, context)
    if superseded(item, context):
        assert isinstance(context.operation, GrantAccess)
        change.operations.append(revocation(change, item, context.operation.url))
    elif item.status in (ItemStatus.UNDER_WAY, ItemStatus.FAILED):
        enter = item.action.enter if isinstance(item.action, CourseAccess) else None
        deliver(change, item, Instructions(kind="course", link=enter))
    elif item.status is not ItemStatus.DELIVERED:
        revoke_access(change, item)
    return change.decision()


@deliveries.on_old(GrantAccess.Failed)
def not_granted(delivery: Delivery | None, outcome: GrantAccess.Failed, context: Context) -> Decision[Delivery]:
    """After several tries one of them may have been carried out although its answer never came."""
    delivery, item = affected(delivery, context)
    change = Change(delivery, context)
    doubtful = bool(context.attempts)
    if superseded(item, context):
        assert isinstance(context.operation, GrantAccess)
        if doubtful:
            change.operations.append(revocation(change, item, context.operation.url))
    elif item.status is ItemStatus.UNDER_WAY:
        fail(change, item, *why(outcome), doubtful=doubtful)
    elif item.status is ItemStatus.STOPPING and (doubtful or item.doubtful):
        revoke_access(change, item)
    elif item.status is ItemStatus.STOPPING:
        change.put(replace(item, status=ItemStatus.REVOKED))
        change.events.append(ItemRevoked(item=item.id))
    return change.decision()


@deliveries.on_old(GrantAccess.Unresolved)
def grant_unresolved(
    delivery: Delivery | None, outcome: GrantAccess.Unresolved, context: Context
) -> Decision[Delivery]:
    """The customer may have access: also where staff had settled or called off what was still under way."""
    delivery, item = affected(delivery, context)
    change = Change(delivery, context)
    if superseded(item, context):
        assert isinstance(context.operation, GrantAccess)
        change.operations.append(revocation(change, item, context.operation.url))
    elif item.status is ItemStatus.UNDER_WAY:
        fail(change, item, *why(outcome), doubtful=True)
    elif item.status is ItemStatus.FAILED:
        change.put(replace(item, doubtful=True))
    elif item.status is not ItemStatus.DELIVERED:
        revoke_access(change, item)
    return change.decision()


def superseded(item: Item, context: Context) -> bool:
    """Whether the item is delivered in another way by now: staff corrected its product and retried it."""
    operation = context.operation
    assert isinstance(operation, GrantAccess | RevokeAccess)
    return not isinstance(item.action, CourseAccess) or item.action.url != operation.url


def grant_access(change: Change, item: Item) -> None:
    assert isinstance(item.action, CourseAccess)
    who = change.delivery.customer
    grant = GrantAccess(item.action.url, change.context.key, item.id, item.product, item.quantity, who)
    change.operations.append(grant)


def revoke_access(change: Change, item: Item) -> None:
    """Take a course grant back."""
    assert isinstance(item.action, CourseAccess)
    change.put(replace(item, status=ItemStatus.REVOKING))
    change.operations.append(revocation(change, item, item.action.url))


def revocation(change: Change, item: Item, url: str) -> RevokeAccess:
    who = change.delivery.customer
    return RevokeAccess(url, change.context.key, item.id, item.product, item.quantity, who)
