"""Damage to databases, one for each invariant of `orderbus check`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Damage:
    """What is done to a database, and how it is undone. `$1` is the order."""

    invariant: str
    service: str
    statement: str
    undo: str


def kept(table: str, owner: str = "key") -> tuple[str, str]:
    """Statements that move an order's rows away and put them back."""
    away = (
        f"with gone as (delete from {table} where {owner} = $1 returning *) insert into away_{table} select * from gone"
    )
    again = f"with gone as (delete from away_{table} returning *) insert into {table} select * from gone"
    return away, f"{again} where $1::text is not null"


DAMAGES = (
    Damage(
        *("ledger_matches_provider", "payments"),
        "update ledger_entries set amount = amount + sign(amount) where key = $1",
        "update ledger_entries set amount = amount - sign(amount) where key = $1",
    ),
    Damage(
        *("refunds_within_captures", "checkout"),
        "update orders set data = jsonb_set(data, '{paid}', to_jsonb((data ->> 'paid')::bigint - 1)), paid = paid - 1 "
        "where key = $1",
        "update orders set data = jsonb_set(data, '{paid}', to_jsonb((data ->> 'paid')::bigint + 1)), paid = paid + 1 "
        "where key = $1",
    ),
    Damage(
        *("every_event_published", "checkout"),
        "update orders set sequence = sequence + 1 where key = $1",
        "update orders set sequence = sequence - 1 where key = $1",
    ),
    Damage(
        *("stock_in_balance", "fulfillment"),
        "update stock set on_hand = on_hand - 1, data = jsonb_set(data, '{on_hand}', "
        "to_jsonb((data ->> 'on_hand')::bigint - 1)) where $1::text is not null",
        "update stock set on_hand = on_hand + 1, data = jsonb_set(data, '{on_hand}', "
        "to_jsonb((data ->> 'on_hand')::bigint + 1)) where $1::text is not null",
    ),
    Damage("delivery_within_payment", "checkout", *kept("orders")),
    Damage("everybody_told", "notifications", *kept("notification_logs")),
    Damage(
        *("no_order_waits_unseen", "checkout"),
        "update orders set data = jsonb_set(data, '{status}', '\"processing\"'), status = 'processing' where key = $1",
        "update orders set data = jsonb_set(data, '{status}', '\"completed\"'), status = 'completed' where key = $1",
    ),
    Damage(
        *("rows_agree", "payments"),
        "update payments set captured = captured - 1 where key = $1",
        "update payments set captured = captured + 1 where key = $1",
    ),
    Damage(
        *("read_models_as_told", "staff"),
        "update orders set total = total + 1 where order_id = $1",
        "update orders set total = total - 1 where order_id = $1",
    ),
    Damage(
        *("rows_keep_their_rules", "checkout"),
        "update orders set data = jsonb_set(data, '{subtotal}', to_jsonb((data ->> 'subtotal')::bigint + 1)) "
        "where key = $1",
        "update orders set data = jsonb_set(data, '{subtotal}', to_jsonb((data ->> 'subtotal')::bigint - 1)) "
        "where key = $1",
    ),
)
