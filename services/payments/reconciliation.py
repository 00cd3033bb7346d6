"""Compares the ledger with the provider's records: names each difference, and lists unknown outcomes.

Run it when nothing is in flight, or with `before` set to a time whose callbacks have all arrived.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain.ledger import PROVIDER_BALANCE, SALES
from services.payments.gateways.provider import ProviderMovement
from services.payments.storage import ledger_entries, payments

Problem = Literal[
    "unknown_to_us", "unknown_to_provider", "amount", "charged_twice", "balance", "unbalanced", "unresolved"
]


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, described for staff."""

    problem: Problem
    order: str
    reference: str
    text: str


async def own_movements(engine: AsyncEngine, before: datetime | None = None) -> list[ProviderMovement]:
    """The ledger's entries of the provider's balance, by the provider's id."""
    entry = ledger_entries.c
    statement = (
        sa.select(entry.reference, sa.func.sum(entry.amount), entry.currency, sa.func.min(entry.key))
        .where(entry.account == PROVIDER_BALANCE)
        .group_by(entry.reference, entry.currency)
    )
    if before:
        statement = statement.where(entry.at < before)
    async with engine.connect() as connection:
        rows = await connection.execute(statement)
        return [
            ProviderMovement(reference, int(amount), currency, order) for reference, amount, currency, order in rows
        ]


async def own_faults(engine: AsyncEngine) -> list[Difference]:
    """Errors within the ledger, and payments of unknown outcome."""
    entry, row = ledger_entries.c, payments.c
    unbalanced = sa.select(sa.func.min(entry.key), sa.cast(entry.transaction, sa.Text)).group_by(
        entry.transaction, entry.currency
    )
    sums = (
        sa.select(entry.key, sa.func.sum(entry.amount).label("amount"))
        .where(entry.account != SALES)  # what was paid in another way, too
        .group_by(entry.key)
        .subquery()
    )
    apart = (
        sa.select(row.key, row.captured - row.refunded, sa.func.coalesce(sums.c.amount, 0))
        .join(sums, sums.c.key == row.key, isouter=True)
        .where(row.data.is_not(None), row.captured - row.refunded != sa.func.coalesce(sums.c.amount, 0))
    )
    unknown = sa.select(row.key, row.reference).where(row.unresolved)
    async with engine.connect() as connection:
        found = [
            Difference("unbalanced", key, transaction, "The entries of this transaction do not sum to zero.")
            for key, transaction in await connection.execute(unbalanced.having(sa.func.sum(entry.amount) != 0))
        ]
        found += [
            Difference("balance", key, "", f"The payment has {held}, its ledger {entered} (minor units).")
            for key, held, entered in await connection.execute(apart)
        ]
        found += [
            Difference(
                "unresolved",
                key,
                reference or "",
                "Outcome unknown. Check with the provider, then settle it.",
            )
            for key, reference in await connection.execute(unknown)
        ]
    return found


def compare(ours: Iterable[ProviderMovement], theirs: Iterable[ProviderMovement]) -> list[Difference]:
    """Every movement that only one side has, or that differs; orders charged twice; balances per currency."""
    here = _by_reference(ours)
    there = _without_refunded_strays(_by_reference(theirs), here)
    found = [
        Difference("unknown_to_us", theirs.order, reference, f"The provider has {_words(theirs)}, the ledger does not.")
        for reference, theirs in there.items()
        if reference not in here and theirs.amount
    ]
    for reference, mine in here.items():
        other = there.get(reference)
        if other is None and mine.amount:
            text = f"The ledger has {_words(mine)}, the provider does not."
            found.append(Difference("unknown_to_provider", mine.order, reference, text))
        elif other and (other.amount, other.currency) != (mine.amount, mine.currency):
            text = f"The ledger has {_words(mine)}, the provider {_words(other)}."
            found.append(Difference("amount", mine.order, reference, text))
    return found + _charged_twice(there.values()) + _balances(here.values(), there.values())


def _by_reference(movements: Iterable[ProviderMovement]) -> Mapping[str, ProviderMovement]:
    return {movement.reference: movement for movement in movements}


def _without_refunded_strays(
    theirs: Mapping[str, ProviderMovement], known: Collection[str]
) -> Mapping[str, ProviderMovement]:
    """Without charges that orderbus did not make and that were refunded in whole since, not by it either."""
    others = {reference: movement for reference, movement in theirs.items() if reference not in known}
    left: Counter[str] = Counter()
    for reference, movement in others.items():
        left[movement.charge or reference] += movement.amount
    gone = {reference for reference, amount in left.items() if amount == 0 and reference in others}
    return {it: movement for it, movement in theirs.items() if it not in gone and movement.charge not in gone}


def _words(movement: ProviderMovement) -> str:
    return f"{movement.amount} {movement.currency} (minor units)"


def _charged_twice(theirs: Iterable[ProviderMovement]) -> list[Difference]:
    """Orders with more than one charge of which some money was kept beyond the largest single charge."""
    charges: dict[str, list[int]] = defaultdict(list)
    kept: Counter[str] = Counter()
    for movement in theirs:
        if movement.order:
            kept[movement.order] += movement.amount
            if movement.amount > 0:
                charges[movement.order].append(movement.amount)
    return [
        Difference("charged_twice", order, "", f"{len(amounts)} charges at the provider, {kept[order]} kept.")
        for order, amounts in charges.items()
        if len(amounts) > 1 and kept[order] > max(amounts)
    ]


def _balances(ours: Iterable[ProviderMovement], theirs: Iterable[ProviderMovement]) -> list[Difference]:
    here, there = _sums(ours), _sums(theirs)
    return [
        Difference(
            "balance", "", currency, f"{currency}: the ledger has {here[currency]}, the provider {there[currency]}."
        )
        for currency in sorted({*here, *there})
        if here[currency] != there[currency]
    ]


def _sums(movements: Iterable[ProviderMovement]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for movement in movements:
        sums[movement.currency] += movement.amount
    return sums


async def reconcile(
    engine: AsyncEngine, theirs: Sequence[ProviderMovement], before: datetime | None = None
) -> list[Difference]:
    """All differences between the ledger and the provider's movements (of the same period)."""
    return await own_faults(engine) + compare(await own_movements(engine, before), theirs)
