"""Staff hear again of what still waits for them: one fact for each order, with ages.

Times that went by while the service was down are made up for by one reminder only, and those of many orders are spread.
"""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, Reminder, deliveries
from services.fulfillment.domain.staff_waits import StillWaiting, next_reminder, told, waits_for_staff
from shared.core import Context, Decision

LATE = timedelta(hours=1)
SPREAD_OVER = timedelta(hours=6)


@deliveries.on(StillWaiting)
def still_waiting(delivery: Delivery, message: StillWaiting, context: Context) -> Decision[Delivery]:
    change, at, share = DeliveryChange(delivery, context), context.at, context.message_id.int
    reminder, fact = delivery.reminder, told(delivery, delivery.items, context.at, again=True)
    for item in delivery.items:
        if item.waits_since and not waits_for_staff(item):  # a worker of an older build went on with it
            change.update_item(item, waits_since=None)
    if reminder is None or fact is None:
        return change.decision()
    if at - reminder.due > LATE and not reminder.is_late:
        due = at + SPREAD_OVER * (share % 1000) / 1000
        change.set(reminder=Reminder(due, reminder.times, is_late=True))
    else:
        change.publish(fact)
        due = next_reminder(at, reminder.times + 1, share)
        change.set(reminder=Reminder(due, reminder.times + 1))
    change.timer(due, StillWaiting())
    return change.decision()
