"""The items, or executions, that a command of staff names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.fulfillment.domain.delivery import Delivery, Item
from shared.core import Problem, Refused

MAX_PROBLEMS = 20
"""In the text of a refusal; its `problems` have them all."""


def select_items(
    delivery: Delivery,
    ids: Sequence[str],
    executions: Sequence[str],
    problem_of: Callable[[Item], Problem | None],
    none: Refused,
) -> list[Item] | Refused:
    """Those named, or refused with every problem; without names all that have no problem. Of an item with several
    executions, those that have none."""
    if not ids and not executions:
        return [item for item in delivery.items if problem_of(item) is None] or none
    items: dict[str, Item] = {}
    problems: list[Problem] = []
    named_by = {id: delivery.named(id) for id in ids}
    named_by |= {id: [item for item in delivery.items if item.id == id] for id in executions if id not in named_by}
    for id, named in named_by.items():
        found = [item for item in named if problem_of(item) is None]
        items |= {item.id: item for item in found}
        if not named:
            problems.append(item_problem(id, "unknown_item", f"The order has no item {id}."))
        elif not found:
            problems += [problem for item in named if (problem := problem_of(item))]
    return refused_for(problems) if problems else [*items.values()]


def refused_for(problems: Sequence[Problem]) -> Refused:
    """With every problem."""
    text = " ".join(problem.text for problem in problems[:MAX_PROBLEMS])
    return Refused(problems[0].code, text, tuple(problems))


def few(items: Iterable[str]) -> tuple[str, ...]:
    """Each once; none if there are too many for one line of a timeline."""
    named = tuple(dict.fromkeys(items))
    return named if len(named) <= MAX_PROBLEMS else ()


def returning_problem(item: Item) -> Problem | None:
    """What is given meanwhile could be among what returns, and go to another customer, too."""
    if not item.returning:
        return None
    text = f"Codes of item {item.id} are being returned to their pool. Try again in a moment."
    return item_problem(item.id, "under_way", text)


def item_problem(id: str, code: str, text: str) -> Problem:
    return Problem(field=f"items.{id}", code=code, text=text)
