"""Orders that go no further until staff act."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.checkout.domain.card_check import NONE, CardCheck
from services.checkout.domain.delivery import TO_COMPLETE
from shared.contracts.values import OrderStatus as S
from shared.shell.ports.attention import Attention
from shared.shell.postgres.oldest import oldest

UNATTENDED = "3 days"
"""As the alert OrderbusPaidUnfinished has it, for deliveries that wait for a parcel, a code or staff."""

RETURN_REFUSED = "coalesce(data ->> 'return_refused', '') <> ''"
"""As the index `orders_return_refused` has it."""
_FAILED = '$.lines[*] ? (@.delivery == "failed" && !(@.refunded_whole == true))'
_FAILED_EXTRA = '$.extras[*] ? (@.delivery == "failed")'
_FIRST = "jsonb_path_query_first(data, '{}.trouble')"
_TROUBLES = f"coalesce({_FIRST.format(_FAILED)}, {_FIRST.format(_FAILED_EXTRA)})"
_SINCE = f"""
    select min((s.value #>> array[]::text[])::timestamptz) from (
        select jsonb_path_query(data, '{_FAILED}.trouble_since') union all
        select jsonb_path_query(data, '{_FAILED_EXTRA}.trouble_since')
    ) s (value)
"""
_TROUBLED = f"""
    select number, coalesce(({_SINCE}), changed_at) as since, status, {_TROUBLES} #>> array[]::text[] as trouble
    from orders where (status = '{S.FAILED}' and deadline is null) or (status = '{S.PROCESSING}' and (
        jsonb_path_exists(data, '{_FAILED}') or jsonb_path_exists(data, '{_FAILED_EXTRA}')
        or changed_at < clock_timestamp() - interval '{UNATTENDED}'))
"""


async def troubled_orders(connection: AsyncConnection) -> list[Attention]:
    """Paid, and not delivered: a delivery failed, or nothing has happened for days."""
    return await oldest(connection, _TROUBLED, _troubled)


def _troubled(row: Any) -> Attention:
    if row.trouble is None and row.status != S.FAILED:
        reason, command = f"Paid, and unchanged for {UNATTENDED}", f"orderbus order {row.number}"
        return Attention("unfinished order", row.number, row.since, reason, command)
    reason = f"A delivery failed: {row.trouble or 'see its timeline'}"
    return Attention("failed delivery", row.number, row.since, reason, f"orderbus retry {row.number}")


_RETURN_REFUSED = f"""
    select number, changed_at as since, data ->> 'return_refused' as why from orders where {RETURN_REFUSED}
"""


async def refused_returns(connection: AsyncConnection) -> list[Attention]:
    """Of which payments refused the refund: the customer may be owed it."""
    return await oldest(connection, _RETURN_REFUSED, _refused_return)


def _refused_return(row: Any) -> Attention:
    reason = f"The customer expects a refund that was refused: {row.why} Refund it, or record how it was refunded"
    return Attention("refused refund", row.number, row.since, reason, f"orderbus refund {row.number}")


_NOT_PAYABLE = f"""
    select number, changed_at as since, data ->> 'message' as why from orders
    where status = '{S.FAILED}' and deadline is not null
"""


async def orders_not_payable(connection: AsyncConnection) -> list[Attention]:
    """No try was left, or the provider does not take the amount: they end with their time to pay, unless staff act."""
    return await oldest(connection, _NOT_PAYABLE, _not_payable)


def _not_payable(row: Any) -> Attention:
    reason, command = f"It cannot be paid any more: {row.why or ''}", f"orderbus reopen {row.number}"
    return Attention("failed payment", row.number, row.since, reason, command)


_TO_COMPLETE = f"""
    select number, changed_at as since from orders
    where status = '{S.PROCESSING}' and data ->> 'message' = '{TO_COMPLETE}'
"""


async def orders_to_complete(connection: AsyncConnection) -> list[Attention]:
    """Everything of them is delivered, and their store completes each by hand."""
    return await oldest(connection, _TO_COMPLETE, _to_complete)


def _to_complete(row: Any) -> Attention:
    command = f"orderbus complete {row.number}"
    return Attention("order to complete", row.number, row.since, "Everything of it is delivered", command, routine=True)


_ASKED = """
    select number, (data -> 'asked' ->> 'at')::timestamptz as since, data -> 'asked' ->> 'wants' as wants
    from orders where jsonb_typeof(data -> 'asked') = 'object'
"""


async def what_customers_ask(connection: AsyncConnection) -> list[Attention]:
    """Staff grant it or refuse."""
    return await oldest(connection, _ASKED, _asked)


def _asked(row: Any) -> Attention:
    reason = f"The customer asks to {row.wants} it"
    return Attention("customer asks", row.number, row.since, reason, f"orderbus answer {row.number} granted|refused")


_TO_DECIDE = f"""
    select number, changed_at as since from orders
    where status = '{S.RECEIVED}' and data ->> 'reserved' = 'true'
        and (coalesce(data ->> 'verification', '{NONE}') = '{NONE}' or data ->> 'card_check' = '{CardCheck.VERIFIED}')
"""


async def orders_to_decide(connection: AsyncConnection) -> list[Attention]:
    """Staff accept or decline each: its stock is reserved, and its card verified where the store wants it."""
    return await oldest(connection, _TO_DECIDE, _to_decide)


def _to_decide(row: Any) -> Attention:
    reason, command = "Waits to be accepted, or declined: `orderbus decline`", f"orderbus accept {row.number}"
    return Attention("order to decide", row.number, row.since, reason, command, routine=True)


ATTENTION = {
    "what customers ask": what_customers_ask,
    "unfinished orders": troubled_orders,
    "orders that cannot be paid any more": orders_not_payable,
    "refused refunds of returns": refused_returns,
    "orders to complete": orders_to_complete,
    "orders to decide": orders_to_decide,
}
