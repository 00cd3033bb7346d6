"""Retries: staff have an item delivered, or its access revoked, again; and what a retry would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kinds import KINDS, kind_of
from services.fulfillment.domain.locks import RECONFIGURABLE, current_products, queues
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.reservation import further
from services.fulfillment.domain.selection import item_problem, refused_for, returning_problem, select_items
from services.fulfillment.domain.start import latest_product, start_item
from shared.contracts.fulfillment import Action, Download, RetryDelivery, Shipment
from shared.core import Context, Decision, Problem, Refused
from shared.core.fast_dataclasses import replace

NOTHING_TO_RETRY = Refused("nothing_to_retry", "No item of the order has failed or is waiting for what can be retried.")


@deliveries.on(RetryDelivery, locks=queues, reads=current_products)
def retried(delivery: Delivery, command: RetryDelivery, context: Context) -> Decision[Delivery] | Refused:
    change = DeliveryChange(delivery, context)
    retry = Retry(delivery, command, lambda item: latest_product(change, item))
    items = retry.items()
    if isinstance(items, Refused):
        return items
    plan = retry.plan(items)
    for item in items:
        if item.status is ItemStatus.REVOCATION_FAILED:
            if kind_of(item).can_revoke_again(item):
                kind_of(item).revoke_again(change, item)
        elif item.id in plan.ended:
            kind_of(item).revoke(change, item)
        elif item.id in plan.restarted:
            _restart(change, item, plan.restarted[item.id])
        for kind in KINDS.values():
            kind.revoke_left(change, change.item(item.id))
    for new in plan.added:
        start_item(change, change.put_item(new))
    change.tell_retried(plan.versions)
    return change.decision()


def _restart(change: DeliveryChange, item: Item, planned: Item) -> None:
    """`planned`: with the action by which it is delivered from now on, for good."""
    kind_of(item).replace(change, item, planned.action)
    change.update_item(change.item(item.id), action=planned.action, version=planned.version)
    start_item(change, change.leave_queue(change.item(item.id)))


@dataclass(frozen=True, slots=True)
class RetriedItem:
    """An execution that a retry would start, or else revoke. A version is that of the product's
    configuration, 0 where it has none; a kind is that of its action."""

    item: str
    """The execution: `1`, `1/2`."""
    product: str
    """The product's name."""
    kind: str
    """The kind of its action now: `download`, `code`, …"""
    version: int
    """The version of its configuration now."""
    kind_after: str
    """The kind of its action after the retry."""
    version_after: int
    """The version of its configuration after the retry."""
    revokes: bool
    """The retry first revokes what the former action gave."""


@dataclass(frozen=True, slots=True)
class RetryPreview:
    """What a retry would do. Nothing is changed."""

    items: tuple[RetriedItem, ...]
    """The executions that it would start or revoke."""


def retry_preview(
    delivery: Delivery, command: RetryDelivery, latest_of: Callable[[Item], Product | None]
) -> RetryPreview | Refused:
    """Refused as the command would be. `latest_of`: the product of an item as it is configured now."""
    retry = Retry(delivery, command, latest_of)
    items = retry.items()
    if isinstance(items, Refused):
        return items
    plan = retry.plan(items)
    shown = [_shown(item, plan.restarted.get(item.id, item), revokes=item.id not in plan.restarted) for item in items]
    return RetryPreview((*shown, *(_shown(None, new) for new in plan.added)))


def _shown(before: Item | None, after: Item, *, revokes: bool = False) -> RetriedItem:
    kind = before.action.kind if before and before.action else ""
    kind_after = after.action.kind if after.action else ""
    version = before.version if before else 0
    return RetriedItem(after.id, after.product, kind, version, kind_after, after.version, revokes)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a retry starts: known executions by id, with the actions that they get, and new ones. `versions`: of the
    configurations that replace former ones, by what the executions are for; None where what was bought is delivered."""

    restarted: dict[str, Item]
    ended: frozenset[str]
    """Ids of those whose action is no longer configured: they are delivered no more."""
    added: tuple[Item, ...]
    versions: dict[str, int | None]


class Retry:
    """With `latest` as the products are configured now: an execution that is started again keeps its action if its
    product still has it, or gets another of the same kind, or the next that no execution has; actions that are new get
    executions of their own, and what is no longer configured is delivered no more."""

    def __init__(self, delivery: Delivery, command: RetryDelivery, latest_of: Callable[[Item], Product | None]) -> None:
        self._delivery, self._command, self._latest_of = delivery, command, latest_of

    def items(self) -> list[Item] | Refused:
        command = self._command
        returning = [problem for item in self._delivery.items if (problem := returning_problem(item))]
        none = refused_for(returning) if returning else NOTHING_TO_RETRY
        return select_items(self._delivery, command.items, command.executions, self._problem_of, none)

    def plan(self, items: Sequence[Item]) -> Plan:
        restarted = {item.id: item for item in items if self._is_undelivered(item)}
        added: list[Item] = []
        ended: set[str] = set()
        versions: dict[str, int | None] = {}
        for about in dict.fromkeys(item.about for item in restarted.values()):
            executions = self._delivery.named(about)
            product = self._replacement_of(executions[0])
            versions[about] = None
            if product:
                mine = [item for item in executions if item.id in restarted]
                given, new = _assigned(executions, mine, product)
                replaced = [item for item in given if item.version != restarted[item.id].version]
                left = {item.id for item in mine} - {item.id for item in given}
                restarted = {id: item for id, item in restarted.items() if id not in left}
                restarted |= {item.id: item for item in given}
                ended |= left
                added += new
                versions[about] = product.version if replaced or new or left else None
        return Plan(restarted, frozenset(ended), tuple(added), versions)

    def _replacement_of(self, item: Item) -> Product | None:
        """What it is delivered by, if not as it was bought."""
        return self._latest_of(item) if self._command.latest or item.action is None else None

    def _is_undelivered(self, item: Item) -> bool:
        """Its delivery can be started again."""
        if item.status not in RECONFIGURABLE or item.returning:
            return False
        executions = self._delivery.named(item.about)
        product = self._replacement_of(executions[0])
        if product is None:
            return kind_of(item).can_restart(item, None)
        given, _ = _assigned(executions, [item], product)
        return kind_of(item).can_restart(item, given[0].action if given else _other_than(item))

    def _problem_of(self, item: Item) -> Problem | None:
        not_revoked = item.status is ItemStatus.REVOCATION_FAILED
        may_revoke = not_revoked and kind_of(item).can_revoke_again(item)
        if may_revoke or item.is_left_elsewhere or self._is_undelivered(item):
            return None
        if problem := returning_problem(item):
            return problem
        if not_revoked:
            text = f"Item {item.id} may have been revoked: look there, then settle it first: orderbus settle item."
            return item_problem(item.id, "in_doubt", text)
        if item.status is ItemStatus.WAITING_SETUP:
            return item_problem(item.id, item.code, item.text)
        if item.status is ItemStatus.FAILED and item.in_doubt:
            text = f"Item {item.id} may have been delivered: look there, then settle it first: orderbus settle item."
            return item_problem(item.id, "in_doubt", text)
        text = f"Item {item.id} cannot be retried: it has not failed and is not waiting for what can be retried."
        return item_problem(item.id, "nothing_to_retry", text)


def _assigned(executions: Sequence[Item], restarted: Sequence[Item], product: Product) -> tuple[list[Item], list[Item]]:
    """The restarted executions that still have an action, and new ones. What the others do is not done twice."""
    free = list(product.actions)
    for kept in executions:
        if kept not in restarted and kept.action in free:
            free.remove(kept.action)
    given: dict[str, Item] = {}
    for is_alike in (_same_action, _same_kind, _any_action):
        for item in restarted:
            action = None if item.id in given else next((one for one in free if is_alike(item, one)), None)
            if action:
                free.remove(action)
                given[item.id] = replace(item, action=action, version=product.version)
    last = max(item.number for item in executions)
    new = [further(executions[0], number, action, product.version) for number, action in enumerate(free, last + 1)]
    return [given[item.id] for item in restarted if item.id in given], new


def _other_than(item: Item) -> Action:
    """Any other action: its own is no longer configured."""
    return Download(file="none") if isinstance(item.action, Shipment) else Shipment()


def _same_action(item: Item, action: Action) -> bool:
    return item.action == action


def _same_kind(item: Item, action: Action) -> bool:
    return item.action is not None and item.action.kind == action.kind


def _any_action(item: Item, action: Action) -> bool:
    return True
