"""Payments' tables and how a payment becomes a row. The migrations create the same tables: keep both alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from services.payments.domain.ledger import AttemptRecord, LedgerEntry, RefundRecord
from services.payments.domain.payment import Payment
from shared.shell.ports.tables import RecordTable, StateTable, Storage
from shared.shell.postgres.erasure import erasures_of, erasures_table
from shared.shell.postgres.tables import state_table

metadata = sa.MetaData()

payments = state_table(
    "payments",
    metadata,
    sa.Column("number", sa.Text),
    sa.Column("store", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("provider", sa.Text),
    sa.Column("currency", sa.Text),
    sa.Column("reference", sa.Text),
    sa.Column("authorised", sa.BigInteger),
    sa.Column("captured", sa.BigInteger),
    sa.Column("refunded", sa.BigInteger),
    sa.Column("pending", sa.BigInteger),
    sa.Column("unresolved", sa.Boolean),
    sa.Column("owed", sa.BigInteger),
)


def _record_table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """The columns that every append-only table begins with, then its own."""
    return sa.Table(
        name,
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *columns,
    )


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=False)


def _amount(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


ledger_entries = _record_table(
    "ledger_entries",
    sa.Column("transaction", sa.Uuid, nullable=False),
    _text("kind"),
    _text("account"),
    _amount("amount"),
    _text("currency"),
    _text("provider"),
    _text("reference"),
    _text("store"),
)
attempts = _record_table(
    "attempts",
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("status"),
    _amount("amount"),
    _text("currency"),
    _text("provider"),
    _text("reference"),
    _text("card_brand"),
    _text("card_last4"),
    _text("code"),
    _text("text"),
)
refunds = _record_table(
    "refunds",
    _text("refund"),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("status"),
    _amount("amount"),
    _text("currency"),
    _text("provider"),
    _text("reference"),
    _text("reason"),
    _text("note"),
    _text("actor"),
    _text("code"),
    _text("text"),
)


def payment_columns(payment: Payment) -> Mapping[str, Any]:
    """What SQL searches or guards."""
    known = payment.paying_attempt or next(reversed(payment.requested_attempts), None)
    return {
        "number": payment.number,
        "store": payment.store,
        "status": payment.status.value,
        "provider": payment.provider,
        "currency": payment.currency,
        "reference": known.reference if known else "",
        "authorised": payment.authorised,
        "captured": payment.captured,
        "refunded": payment.refunded,
        "pending": payment.pending,
        "owed": payment.owed,
        "unresolved": payment.unresolved,
    }


erasures = erasures_table(metadata)
ERASED = (
    """update attempts a set card_brand = '', card_last4 = '', text = '' from erased e
        where a.key = e.key and (a.card_brand, a.card_last4, a.text) <> ('', '', '')""",
    "update refunds r set note = '', text = '' from erased e where r.key = e.key and (r.note, r.text) <> ('', '')",
)
"""What is erased besides, with an order (`erasure.py`). The ledger stays."""

storage = Storage(
    metadata=metadata,
    states=[StateTable(Payment, payments, payment_columns, lambda key, payment: payment.store)],
    records=[
        RecordTable(LedgerEntry, ledger_entries),
        RecordTable(AttemptRecord, attempts),
        RecordTable(RefundRecord, refunds),
        erasures_of(erasures),
    ],
)
