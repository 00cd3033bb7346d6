"""Retries: staff have an item delivered, or its access revoked, again."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus, deliveries
from services.fulfillment.domain.kinds import KINDS, kind_of
from services.fulfillment.domain.locks import RECONFIGURABLE, current_products, queues
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.selection import item_problem, select_items
from services.fulfillment.domain.start import latest_product, start_item, with_configuration
from shared.contracts.fulfillment import ItemRetried, RetryDelivery
from shared.core import Context, Decision, Problem, Refused

NOTHING_TO_RETRY = Refused("nothing_to_retry", "No item of the order has failed or is waiting for a code.")


@deliveries.on(RetryDelivery, locks=queues, reads=current_products)
def retried(delivery: Delivery, command: RetryDelivery, context: Context) -> Decision[Delivery] | Refused:
    change = DeliveryChange(delivery, context)
    retry = _Retry(change, latest=command.latest)
    items = select_items(delivery, command.items, retry.problem_of, NOTHING_TO_RETRY)
    if isinstance(items, Refused):
        return items
    for item in items:
        if item.status is ItemStatus.REVOCATION_FAILED:
            kind_of(item).revoke_again(change, item)
        elif retry.is_undelivered(item):
            retry.restart(item)
        for kind in KINDS.values():
            kind.revoke_left(change, change.item(item.id))
    return change.decision()


class _Retry:
    """`latest`: with what the products say now, which replaces for good what the customer bought."""

    def __init__(self, change: DeliveryChange, *, latest: bool) -> None:
        self._change, self._latest = change, latest

    def problem_of(self, item: Item) -> Problem | None:
        if item.status is ItemStatus.REVOCATION_FAILED or item.unrevoked or self.is_undelivered(item):
            return None
        if item.status is ItemStatus.WAITING_SETUP:
            return item_problem(item.id, item.code, item.text)
        text = f"Item {item.id} cannot be retried: it has not failed and is not waiting for a code."
        return item_problem(item.id, "nothing_to_retry", text)

    def is_undelivered(self, item: Item) -> bool:
        """Its delivery can be started again."""
        if item.status not in RECONFIGURABLE:
            return False
        product = self._replacement(item)
        return kind_of(item).can_restart(item, product.action if product else None)

    def restart(self, item: Item) -> None:
        change, former = self._change, kind_of(item)
        product = self._replacement(item)
        change.publish(ItemRetried(item=item.id, configuration=product.version if product else None))
        former.replace(change, item, product.action if product else item.action)
        item = with_configuration(change, change.item(item.id), latest=self._latest)
        start_item(change, change.leave_queue(item))

    def _replacement(self, item: Item) -> Product | None:
        """What it would be delivered by, if not as it was bought."""
        return latest_product(self._change, item) if self._latest or item.action is None else None
