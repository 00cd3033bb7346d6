"""Pools of redemption codes: codes come in, orders that wait are woken."""

from __future__ import annotations

from services.fulfillment.domain.operations import StoreCodes
from services.fulfillment.domain.states import CodePool
from services.fulfillment.domain.stock import wrong_key
from shared.contracts.fulfillment import AddCodes, DeliveryCodesArrived
from shared.core import Context, Core, Decision, Outcome, Refused
from shared.core.fast_dataclasses import replace

MOST_WAITING = 500
"""Orders that a pool remembers. More of them only look by their timers, so that the row stays small."""

pools = Core(CodePool)


@pools.begins(AddCodes)
def add(pool: CodePool | None, command: AddCodes, context: Context) -> Decision[CodePool] | Refused:
    if not all(code.strip() for code in command.codes):
        return Refused("empty_code", "A code has at least one character that is not a blank.")
    store = StoreCodes(context.key, tuple(dict.fromkeys(code.strip() for code in command.codes)))
    return wrong_key(context.key, "<store>/<pool>") or Decision(pool or CodePool(), operations=[store])


@pools.answers(StoreCodes.Done)
def stored(pool: CodePool, store: StoreCodes, outcome: StoreCodes.Done, context: Context) -> Decision[CodePool]:
    """An order needs at least one code, so no more orders than codes need to look."""
    woken, rest = pool.waiting[: outcome.added], pool.waiting[outcome.added :]
    name = context.key.partition("/")[2]
    return Decision(
        CodePool(pool.added + outcome.added, rest),
        commands=[(order, DeliveryCodesArrived(pool=name)) for order in woken],
    )


@pools.answers(StoreCodes.Failed, StoreCodes.Unresolved)
def not_stored(pool: CodePool, store: StoreCodes, outcome: Outcome, context: Context) -> Decision[CodePool]:
    """Only after days without the own database; the codes are in its log of operations."""
    return Decision(pool)


def enrol(pool: CodePool | None, order: str) -> CodePool | None:
    """The pool with one more order that waits; None when it has no room for it."""
    known = pool or CodePool()
    if order in known.waiting:
        return known
    if len(known.waiting) >= MOST_WAITING:
        return None
    return replace(known, waiting=(*known.waiting, order))


def strike_off(pool: CodePool | None, order: str) -> CodePool:
    known = pool or CodePool()
    return replace(known, waiting=tuple(waiting for waiting in known.waiting if waiting != order))
