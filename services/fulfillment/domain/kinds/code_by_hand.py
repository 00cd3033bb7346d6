"""Codes that staff type for an item: it has failed, or its pool has none for it.

Only after they are recorded as those of the item, so that no other gets them, does the customer get them.
"""

from __future__ import annotations

from collections import Counter

from services.fulfillment.domain.change import DeliveryChange, reason_of
from services.fulfillment.domain.delivery import CANCELLED, Delivery, Item, ItemStatus, Stage, deliveries
from services.fulfillment.domain.kind import give_codes
from services.fulfillment.domain.kinds.code import code_instructions, return_unseen, returned
from services.fulfillment.domain.locks import queues
from services.fulfillment.domain.operations import GiveCodes
from services.fulfillment.domain.selection import item_problem, returning_problem, select_items
from shared.contracts.codes import ProvideCode
from shared.contracts.delivery_work import DeliveryNoted
from shared.contracts.fulfillment import ItemSettled, RedemptionCode
from shared.contracts.values import Instructions
from shared.core import Context, Decision, Problem, Refused

NO_ITEM = Refused("unknown_item", "The order has no such item.")


@deliveries.on(ProvideCode, locks=queues)
def code_provided(delivery: Delivery, command: ProvideCode, context: Context) -> Decision[Delivery] | Refused:
    if delivery.stage is Stage.PLACED:
        return Refused("not_paid", "The order is not paid yet. Provide the code after payment.")
    if delivery.stage is not Stage.PAID:
        return Refused("order_cancelled", "The order is cancelled. Do not give it a code.")
    if waits := delivery.why_not_begun:
        return waits
    item = _named(delivery, command)
    if isinstance(item, Refused):
        return item
    assert isinstance(item.action, RedemptionCode)
    codes = tuple(code.strip() for code in command.codes)
    problems = [*_problems(codes, item.quantity * item.action.per_unit)]
    if problems:
        return Refused(problems[0].code, " ".join(problem.text for problem in problems), tuple(problems))
    change = DeliveryChange(delivery, context)
    change.publish(ItemSettled(item=item.about, outcome="delivered", reason=command.reason))
    started = change.update_item(change.leave_queue(item), status=ItemStatus.IN_PROGRESS, code="", text="")
    give_codes(change, started, delivery.row_key(item.action.pool), Instructions(kind="code", codes=codes))
    return change.decision()


def _named(delivery: Delivery, command: ProvideCode) -> Item | Refused:
    if command.execution is not None:
        named = [item for item in delivery.named(command.item) if item.id == command.execution]
        if not named:
            return Refused("unknown_item", f"Item {command.item} has no execution {command.execution}.")
        problem = _problem_of(named[0])
        return Refused(problem.code, problem.text, (problem,)) if problem else named[0]
    found = select_items(delivery, [command.item], (), _problem_of, NO_ITEM)
    if isinstance(found, Refused):
        return found
    if len(found) > 1:
        ids = ", ".join(item.id for item in found)
        return Refused(
            "several_executions", f"Item {command.item} has several that could be meant: say which execution, of {ids}."
        )
    return found[0]


def _problem_of(item: Item) -> Problem | None:
    if item.status in CANCELLED:
        return item_problem(item.id, "item_revoked", f"Item {item.id} was refunded. Do not give it a code.")
    if not isinstance(item.action, RedemptionCode):
        return item_problem(item.id, "not_a_code", f"Item {item.id} is not delivered by a code.")
    if item.expects_code:
        text = f"Item {item.id} is getting a code at this moment. Look at the order again."
        return item_problem(item.id, "under_way", text)
    if item.status is ItemStatus.DELIVERED:
        return item_problem(item.id, "already_delivered", f"Item {item.id} has its codes already.")
    return returning_problem(item)


def _problems(codes: tuple[str, ...], wanted: int) -> list[Problem]:
    problems: list[Problem] = []
    if not all(codes):
        problems.append(Problem(field="codes", code="empty_code", text="A code must not be empty or blank."))
    if any(count > 1 for code, count in Counter(codes).items() if code):
        problems.append(Problem(field="codes", code="repeated_code", text="A code is named twice."))
    if len(codes) != wanted:
        text = f"The item needs {wanted} codes; {len(codes)} were given."
        problems.append(Problem(field="codes", code="wrong_number", text=text))
    return problems


@deliveries.answers(GiveCodes.Done)
def codes_given(delivery: Delivery, give: GiveCodes, outcome: GiveCodes.Done, context: Context) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = returned(change, change.item(give.item))
    if not isinstance(item.action, RedemptionCode):
        return change.decision()  # the customer has them already
    if item.status is ItemStatus.IN_PROGRESS:
        given = code_instructions(give.codes).model_copy(update={"note": give.note})
        change.deliver_item(change.update_item(item, in_doubt=False), given, quiet=give.quiet)
    elif item.status is not ItemStatus.DELIVERED:  # cancelled meanwhile
        return_unseen(change, item, give.pool)
    return change.decision()


@deliveries.answers(GiveCodes.Failed, GiveCodes.Unresolved)
def codes_not_given(
    delivery: Delivery, give: GiveCodes, outcome: GiveCodes.Failed | GiveCodes.Unresolved, context: Context
) -> Decision[Delivery]:
    change = DeliveryChange(delivery, context)
    item = returned(change, change.item(give.item))
    if not isinstance(item.action, RedemptionCode):
        text = f"The codes that were given by hand are not recorded: {reason_of(outcome)[1]}"
        change.publish(DeliveryNoted(action="marked_delivered", items=(item.about,), text=text[:2000]))
    elif item.status is ItemStatus.IN_PROGRESS:
        in_doubt = isinstance(outcome, GiveCodes.Unresolved)
        change.fail_item(item, *reason_of(outcome), in_doubt=in_doubt)
    return change.decision()
