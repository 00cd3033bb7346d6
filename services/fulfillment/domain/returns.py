"""Returns: units that came back. They are put back in stock once, whatever refunds say before or after."""

from __future__ import annotations

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Item, StockHold, deliveries
from services.fulfillment.domain.kinds import kind_of
from services.fulfillment.domain.selection import item_problem, refused_for
from services.fulfillment.domain.stock import Stock
from shared.contracts.delivery_work import ItemReturned, ReturnDelivery, ReturnedLine
from shared.contracts.payments import RefundLine, RefundPayment
from shared.core import Context, Decision, Problem, Ref, Refused


def returned_stock(message: ReturnDelivery, key: str, delivery: Delivery) -> list[Ref[Stock]]:
    named = {line.item for line in message.items}
    return [
        Ref(Stock, delivery.row_key(item.sku))
        for item in delivery.items
        if item.id in named and item.stock is not StockHold.NONE
    ]


@deliveries.on(ReturnDelivery, locks=returned_stock)
def returned(delivery: Delivery, command: ReturnDelivery, context: Context) -> Decision[Delivery] | Refused:
    problems = [problem for line in command.items if (problem := _problem(delivery, command, line))]
    if len({line.item for line in command.items}) < len(command.items):
        problems.append(Problem(field="items", code="repeated_item", text="Name each item once."))
    if command.refund and all(line.amount == 0 for line in command.items):
        text = "Say an amount above zero for at least one item, or ask for no refund."
        problems.append(Problem(field="items", code="amount_needed", text=text))
    if problems:
        return refused_for(problems)
    change = DeliveryChange(delivery, context)
    for line in command.items:
        _return(change, change.item(line.item), line, command)
    if command.refund:
        lines = tuple(RefundLine(item=line.item, amount=line.amount) for line in command.items if line.amount != 0)
        note = f"Returned. {command.reason}"
        # Stock is decided here: what did not come back is not put back by its refund.
        whole = all(item.returned == item.quantity for item in (change.item(line.item) for line in command.items))
        restock = None if whole else ()
        change.send(context.key, RefundPayment(items=lines, reason="other", note=note, restock=restock))
    return change.decision()


def _return(change: DeliveryChange, item: Item, line: ReturnedLine, command: ReturnDelivery) -> None:
    units = _units(change.state, item, line)
    if item.stock is not StockHold.NONE:
        item = change.return_units(item, units, resaleable=command.resaleable)
    item = change.update_item(item, returned=item.returned + units)
    change.publish(
        ItemReturned(
            item=item.about,
            quantity=units,
            returned=item.returned,
            whole=item.returned == item.quantity,
            resaleable=command.resaleable,
            reason=command.reason,
            refund=str(change.context.id_of_command(RefundPayment.type, change.context.key))
            if command.refund
            else None,
        )
    )


def _units(delivery: Delivery, item: Item, line: ReturnedLine) -> int:
    return line.quantity or returnable(delivery, item)


def returnable(delivery: Delivery, item: Item) -> int:
    """Units that the customer has, or had before a refund. `item`: its first execution."""
    executions = delivery.named(item.about)
    sent = [one for one in executions if kind_of(one).sends_units or one.parcels]
    return max(0, max(map(_given, sent or executions)) - item.returned)


def _given(one: Item) -> int:
    if one.instructions:
        return one.quantity
    return min(one.quantity, sum(parcel.quantity for parcel in one.parcels))


def _problem(delivery: Delivery, command: ReturnDelivery, line: ReturnedLine) -> Problem | None:
    item = delivery.find(line.item)
    if item is None or item.is_extra or item.number > 1:
        return item_problem(line.item, "unknown_item", f"The order has no item {line.item}.")
    most = returnable(delivery, item)
    if not most:
        known = f"all of its units are returned already ({item.returned})" if item.returned else "it is not delivered"
        return item_problem(item.id, "nothing_to_return", f"Item {item.id} cannot be returned: {known}.")
    units = _units(delivery, item, line)
    if units > most:
        text = f"Item {item.id}: {item.returned} returned already, so that at most {most} can be, not {units}."
        return item_problem(item.id, "too_many_units", text)
    if command.refund and line.amount is None and item.returned + units < item.quantity:
        text = f"Item {item.id}: say which amount to refund, since not all of it is returned."
        return item_problem(item.id, "amount_needed", text)
    return None
