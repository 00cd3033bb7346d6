"""Pools of redemption codes: codes are added, orders that wait for one are woken, staff hear when few are left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.fulfillment.domain.keys import wrong_key
from services.fulfillment.domain.operations import StoreCodes
from shared.contracts.codes import AddCodes, CodesImported, ConfigurePool
from shared.contracts.fulfillment import DeliveryCodesArrived
from shared.core import Context, Core, Decision, Outcome, Refused
from shared.core.fast_dataclasses import replace

MAX_WAITING = 500
"""Orders in a pool's queue, so that its row stays small. Further ones check the pool by their timers only."""


@dataclass(frozen=True, slots=True)
class CodePool:
    """Orders that wait for codes of a pool. Key: `<store>/<pool>`. The codes themselves are a table of their own."""

    added: int = 0
    """All codes that were ever added."""
    waiting: tuple[str, ...] = ()
    """Orders, first come first served."""
    name: str = ""
    low_water: int = 0
    """Staff are told below so many free codes; 0: never, but of orders that wait."""
    low_since: datetime | None = None
    """Since when there are fewer."""
    told: datetime | None = None
    """When staff were told last that few, or none, are left."""

    def has_room_for(self, order: str) -> bool:
        return order in self.waiting or len(self.waiting) < MAX_WAITING

    def with_order(self, order: str) -> CodePool:
        return self if order in self.waiting else replace(self, waiting=(*self.waiting, order))

    def without_order(self, order: str) -> CodePool:
        return replace(self, waiting=tuple(waiting for waiting in self.waiting if waiting != order))

    def with_codes(self, added: int, left: int | None) -> CodePool:
        """`left`: those that are free by then, counted up to the low-water mark."""
        filled = replace(self, added=self.added + added)
        enough = left is not None and left >= self.low_water
        return replace(filled, low_since=None, told=None) if enough else filled


pools = Core(CodePool)


@pools.begins(AddCodes)
def codes_added(pool: CodePool | None, command: AddCodes, context: Context) -> Decision[CodePool] | Refused:
    if not all(code.strip() for code in command.codes):
        return Refused("empty_code", "A code must not be empty or blank.")
    store = StoreCodes(context.key, tuple(dict.fromkeys(code.strip() for code in command.codes)))
    return wrong_key(context.key, "<store>/<pool>") or Decision(pool or CodePool(), operations=[store])


@pools.begins(ConfigurePool)
def pool_configured(pool: CodePool | None, command: ConfigurePool, context: Context) -> Decision[CodePool] | Refused:
    """With another mark it is found low from the start."""
    pool = pool or CodePool()
    same = command.low_water == pool.low_water
    since, told = (pool.low_since, pool.told) if same else (None, None)
    configured = replace(pool, name=command.name, low_water=command.low_water, low_since=since, told=told)
    return wrong_key(context.key, "<store>/<pool>") or Decision(configured)


@pools.answers(StoreCodes.Done)
def codes_stored(pool: CodePool, store: StoreCodes, outcome: StoreCodes.Done, context: Context) -> Decision[CodePool]:
    return _filled(pool, outcome.added, outcome.left, context)


@pools.begins(CodesImported)
def codes_imported(pool: CodePool | None, command: CodesImported, context: Context) -> Decision[CodePool]:
    return _filled(pool or CodePool(), command.added, command.left, context)


def _filled(pool: CodePool, added: int, left: int | None, context: Context) -> Decision[CodePool]:
    """An order needs at least one code, so no more orders are woken than codes were added."""
    woken, rest = pool.waiting[:added], pool.waiting[added:]
    name = context.key.partition("/")[2]
    return Decision(
        replace(pool.with_codes(added, left), waiting=rest),
        commands=[(order, DeliveryCodesArrived(pool=name)) for order in woken],
    )


@pools.answers(StoreCodes.Failed, StoreCodes.Unresolved)
def codes_not_stored(pool: CodePool, store: StoreCodes, outcome: Outcome, context: Context) -> Decision[CodePool]:
    """Only after days without the service's own database; the codes are in its log of operations."""
    return Decision(pool)
