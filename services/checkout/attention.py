"""Orders that go no further until staff act."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.values import OrderStatus as S
from shared.shell.ports.attention import Attention
from shared.shell.postgres.oldest import oldest

UNATTENDED = "3 days"
"""As the alert OrderbusPaidUnfinished has it, for deliveries that wait for a parcel, a code or staff."""

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
    from orders where status = '{S.FAILED}' or (status = '{S.PROCESSING}' and (
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


ATTENTION = {"unfinished orders": troubled_orders}
