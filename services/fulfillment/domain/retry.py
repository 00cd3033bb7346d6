"""Retries: staff have an item delivered, or its access revoked, again; and what a retry would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kinds import KINDS, kind_of
from services.fulfillment.domain.locks import RECONFIGURABLE, current_products, queues
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.reservation import configured
from services.fulfillment.domain.selection import item_problem, select_items
from services.fulfillment.domain.start import latest_product, start_item
from shared.contracts.fulfillment import Action, ItemRetried, RetryDelivery
from shared.core import Context, Decision, Problem, Refused
from shared.core.fast_dataclasses import replace

NOTHING_TO_RETRY = Refused("nothing_to_retry", "No item of the order has failed or is waiting for what can be retried.")


@deliveries.on(RetryDelivery, locks=queues, reads=current_products)
def retried(delivery: Delivery, command: RetryDelivery, context: Context) -> Decision[Delivery] | Refused:
    change = DeliveryChange(delivery, context)
    retry = _Retry(lambda item: latest_product(change, item), latest=command.latest)
    items = retry.items(delivery, command)
    if isinstance(items, Refused):
        return items
    for item in items:
        if item.status is ItemStatus.REVOCATION_FAILED:
            kind_of(item).revoke_again(change, item)
        elif retry.is_undelivered(item):
            _restart(change, item, retry.replacement_of(item))
        for kind in KINDS.values():
            kind.revoke_left(change, change.item(item.id))
    return change.decision()


def _restart(change: DeliveryChange, item: Item, product: Product | None) -> None:
    """`product`: by which it is delivered from now on, for good."""
    replaced = product is not None and product.version != item.version
    change.publish(ItemRetried(item=item.about, configuration=product.version if product and replaced else None))
    action = _action_of(product, item) if product else item.action
    kind_of(item).replace(change, item, action)
    if product:
        change.update_item(change.item(item.id), action=action, version=product.version)
    start_item(change, change.leave_queue(change.item(item.id)))
    for further in configured(item, product) if product and item.number == 1 else ():
        if further.number > 1 + len(change.others(item)):
            start_item(change, change.put_item(replace(further, status=ItemStatus.PLANNED)))


def _action_of(product: Product | None, item: Item) -> Action | None:
    """What the product configures for this one of an item's executions."""
    actions = product.actions if product else ()
    return actions[item.number - 1] if item.number <= len(actions) else None


@dataclass(frozen=True, slots=True)
class RetriedItem:
    """An item that a retry would deliver, or whose access it would revoke. A version is that of the product's
    configuration, 0 where it has none; a kind is that of its action."""

    item: str
    product: str
    kind: str
    version: int
    kind_after: str
    version_after: int
    revokes: bool


@dataclass(frozen=True, slots=True)
class RetryPreview:
    items: tuple[RetriedItem, ...]


def retry_preview(
    delivery: Delivery, command: RetryDelivery, latest_of: Callable[[Item], Product | None]
) -> RetryPreview | Refused:
    """Refused as the command would be. `latest_of`: the product of an item as it is configured now."""
    retry = _Retry(latest_of, latest=command.latest)
    items = retry.items(delivery, command)
    return items if isinstance(items, Refused) else RetryPreview(tuple(map(retry.previewed, items)))


class _Retry:
    """`latest`: with what the products say now, which replaces for good what the customer bought."""

    def __init__(self, latest_of: Callable[[Item], Product | None], *, latest: bool) -> None:
        self._latest_of, self._latest = latest_of, latest

    def items(self, delivery: Delivery, command: RetryDelivery) -> list[Item] | Refused:
        return select_items(delivery, (*command.items, *command.executions), self._problem_of, NOTHING_TO_RETRY)

    def is_undelivered(self, item: Item) -> bool:
        """Its delivery can be started again."""
        if item.status not in RECONFIGURABLE:
            return False
        return kind_of(item).can_restart(item, _action_of(self.replacement_of(item), item))

    def replacement_of(self, item: Item) -> Product | None:
        """What it is delivered by, if not as it was bought. Not a product that has fewer actions by now."""
        product = self._latest_of(item) if self._latest or item.action is None else None
        return product if _action_of(product, item) else None

    def previewed(self, item: Item) -> RetriedItem:
        product = self.replacement_of(item) if self.is_undelivered(item) else None
        kind, version = item.action.kind if item.action else "", item.version
        action = _action_of(product, item)
        after = (action.kind, product.version) if product and action else (kind, version)
        return RetriedItem(item.id, item.product, kind, version, *after, revokes=not self.is_undelivered(item))

    def _problem_of(self, item: Item) -> Problem | None:
        if item.status is ItemStatus.REVOCATION_FAILED or item.unrevoked or self.is_undelivered(item):
            return None
        if item.status is ItemStatus.WAITING_SETUP:
            return item_problem(item.id, item.code, item.text)
        text = f"Item {item.id} cannot be retried: it has not failed and is not waiting for what can be retried."
        return item_problem(item.id, "nothing_to_retry", text)
