"""Money whose movement is unknown or overdue."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.payments.domain.operations import AMOUNT_REFUSED
from shared.core.money import Money
from shared.shell.ports.attention import Attention
from shared.shell.postgres.oldest import oldest

OVERDUE, OVERDUE_AT_BANK = "1 day", "14 days"
"""A refund that is not made, as the alert OrderbusRefundsOwed has it; one that the provider has accepted, which banks
take up to ten business days for."""
REFUSED_LATELY = "30 days"
"""What failed longer ago is not looked through."""

_UNRESOLVED = """
    select number, changed_at as since,
        jsonb_path_exists(data, '$.attempts[*] ? (@.status == "unresolved")') as charge
    from payments where unresolved
"""
_BY_HAND = """
    select p.number, p.currency, min(r.at) as since, cast(sum(r.amount) as bigint) as amount
    from payments p cross join lateral jsonb_to_recordset(p.data -> 'refunds')
        as r (status text, by_hand boolean, at timestamptz, amount bigint)
    where p.owed > 0 and r.status = 'pending' and r.by_hand
    group by p.key, p.number, p.currency
"""
_NOT_TAKEN = f"""
    select number, currency, changed_at as since,
        cast(data -> 'attempts' -> -1 ->> 'amount' as bigint) as amount, data -> 'attempts' -> -1 ->> 'text' as text
    from payments
    where status = 'failed' and changed_at > clock_timestamp() - interval '{REFUSED_LATELY}'
        and data -> 'attempts' -> -1 ->> 'code' in ({", ".join(f"'{code}'" for code in sorted(AMOUNT_REFUSED))})
        and coalesce(data ->> 'closed_as', '') = ''
"""
_BY_CALLS = """
    select key, requested_at as since, nullif(error, '') as error from operations
    where kind in ('RefundCharge', 'RetryRefund')
"""


def _overdue(among: str) -> str:
    """A row per payment, by those refunds `r` that a condition names. Calls count, too: an older build wrote rows that
    do not say what is owed. Of what is under way, those of unknown outcome are left out: they are unresolved."""
    by_payments = f"""
        select p.key, coalesce(refund.since, p.changed_at) as since, refund.error
        from payments p cross join lateral (
            select min(r.at) as since, (array_agg(r.text order by r.at desc) filter (where r.text <> ''))[1] as error
            from jsonb_to_recordset(p.data -> 'refunds')
                as r (status text, reference text, at timestamptz, text text, by_hand boolean)
            where {among} and (r.status = 'failed' and p.owed > p.pending or r.status = 'pending' and (
                r.reference = '' or r.at < clock_timestamp() - interval '{OVERDUE_AT_BANK}'
            ))
        ) refund
        where p.owed > 0 and (refund.since is not null or p.owed > p.pending)
    """
    return f"""
        select coalesce(p.number, overdue.key) as number, min(overdue.since) as since, min(overdue.error) as error,
            p.owed, p.currency
        from ({by_payments} union all {_BY_CALLS}) overdue left join payments p on p.key = overdue.key
        where overdue.since < clock_timestamp() - interval '{OVERDUE}'
        group by overdue.key, p.number, p.owed, p.currency
    """


OWED = _overdue("true")
"""What the gauge counts."""
_OWED_OTHERWISE = _overdue("not (r.status = 'pending' and coalesce(r.by_hand, false))")
"""Without what staff make by hand, which is listed at once."""


async def unresolved_payments(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _UNRESOLVED, _unresolved)


def _unresolved(row: Any) -> Attention:
    what, outcomes = ("payment", "captured|not_charged") if row.charge else ("refund", "refunded|not_refunded")
    text = f"The outcome of a {'charge' if row.charge else 'refund'} is unknown: look it up at the provider"
    command = f"orderbus settle {what} {row.number} {outcomes} --reason TEXT"
    return Attention(f"unresolved {what}", row.number, row.since, text, command)


async def owed_refunds(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _OWED_OTHERWISE, _owed)


def _owed(row: Any) -> Attention:
    what = f"{Money(row.owed, row.currency)} is" if row.owed and row.currency else "A refund is"
    why = f": {row.error[:200]}" if row.error else ""
    return Attention("refund owed", row.number, row.since, f"{what} not paid out yet{why}", "orderbus payments owed")


async def refunds_by_hand(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _BY_HAND, _by_hand)


def _by_hand(row: Any) -> Attention:
    text = f"{Money(row.amount, row.currency)} is to be refunded by hand: make it, then record it"
    command = f"orderbus settle refund {row.number} refunded|not_refunded --reason TEXT"
    return Attention("refund by hand", row.number, row.since, text, command)


async def amounts_refused(connection: AsyncConnection) -> list[Attention]:
    return await oldest(connection, _NOT_TAKEN, _not_taken)


def _not_taken(row: Any) -> Attention:
    text = f"The provider does not take {Money(row.amount, row.currency)}: {row.text[:200]}"
    return Attention("amount refused", row.number, row.since, text, f"orderbus cancel {row.number}")


ATTENTION = {
    "unresolved payments": unresolved_payments,
    "refunds owed": owed_refunds,
    "refunds by hand": refunds_by_hand,
    "amounts refused": amounts_refused,
}
