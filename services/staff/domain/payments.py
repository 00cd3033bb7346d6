"""Payments and every movement of money, from `payment.status`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.staff.domain.order_adds import of_payment
from services.staff.domain.projection import PROJECTION, facets
from shared.contracts.payment_status import AttemptState, PaymentStatusRecord, RefundState, StrayChargeState
from shared.core.projection import About, Row, Shown


class PaymentRow(Row):
    """The payment's part of an order's row. Amounts in minor units."""

    order_id: str
    payment_revision: int = 0
    provider: str | None = None
    """Of the latest attempt, as are method and card."""
    method: str | None = None
    card_brand: str | None = None
    card_last4: str | None = None
    captured: int = 0
    refund_pending: int = 0
    refundable: int = 0
    owed: int = 0
    """What the customer is to get and has not got."""
    unresolved: bool = False
    """The outcome of a charge or refund is unknown."""
    payment_updated_at: datetime | None = None
    payment_facets: tuple[str, ...] = ()
    payment_adds: dict[str, Any] | None = None
    """What it adds to the sums by day."""


class TransactionRow(Row):
    """A charge, a refund or a charge that orderbus did not make. Amounts in minor units of `currency`."""

    order_id: str
    id: str
    """`charge:1`, `refund:<id>`, `stray:<reference>`; more than one capture of an attempt: `charge:1:2`."""
    store: str
    kind: str
    attempt: int | None
    provider: str | None
    method: str | None
    reference: str | None
    """The provider's id."""
    status: str
    code: str | None
    """Why it was declined or failed, for staff."""
    amount: int
    currency: str
    fee: int | None
    """In minor units of `fee_currency`."""
    fee_currency: str | None
    card_brand: str | None
    """Of a charge, as is `card_last4`."""
    card_last4: str | None
    recorded: bool
    """A refund for which the provider moved no money."""
    surplus: bool
    """Captured besides what paid the order."""
    at: datetime


class PaymentSearchRow(Row):
    """The ids of an order's transactions at the provider, which a search looks through."""

    order_id: str
    texts: tuple[str, ...]


class PaymentRecordRow(Row):
    """The record as it was sent."""

    order_id: str
    body: bytes


@PROJECTION.shows(PaymentStatusRecord, blank=PaymentRow)
def payment(record: PaymentStatusRecord, about: About) -> Shown:
    key, latest = about.key, record.attempts[-1] if record.attempts else None
    card = latest.card if latest else None
    row = PaymentRow(
        order_id=key,
        payment_revision=record.revision,
        provider=latest.provider if latest else None,
        method=latest.method if latest else None,
        card_brand=card.brand if card else None,
        card_last4=card.last4 if card else None,
        captured=record.captured,
        refund_pending=record.pending,
        refundable=record.refundable,
        owed=record.owed,
        unresolved=record.unresolved,
        payment_updated_at=record.updated_at,
        payment_facets=facets(
            provider=latest.provider if latest else None,
            method=latest.method if latest else None,
            owed="yes" if record.owed else None,
            unresolved="yes" if record.unresolved else None,
        ),
        payment_adds=of_payment(record),
    )
    found = _references(record)
    parts: list[Row] = [PaymentSearchRow(key, found)] if found else []
    counted: dict[int, int] = {}
    for attempt in record.attempts:
        counted[attempt.attempt] = number = counted.get(attempt.attempt, 0) + 1
        parts.append(_charge(record, key, attempt, number))
    parts += [_refund(record, key, refund) for refund in record.refunds]
    parts += [_stray(record, key, charge) for charge in record.stray_charges]
    return Shown(row, [*parts, PaymentRecordRow(key, about.body)])


def _references(record: PaymentStatusRecord) -> tuple[str, ...]:
    charges = [attempt.reference for attempt in record.attempts]
    refunds = [refund.reference for refund in record.refunds]
    strays = [charge.reference for charge in record.stray_charges]
    return tuple(dict.fromkeys(text for text in (*charges, *refunds, *strays) if text))


def _charge(record: PaymentStatusRecord, key: str, attempt: AttemptState, number: int) -> TransactionRow:
    return TransactionRow(
        order_id=key,
        id=f"charge:{attempt.attempt}" + (f":{number}" if number > 1 else ""),
        store=record.store,
        kind="charge",
        attempt=attempt.attempt,
        provider=attempt.provider,
        method=attempt.method,
        reference=attempt.reference,
        status=attempt.status,
        code=attempt.code,
        amount=attempt.captured or attempt.amount,
        currency=record.currency,
        fee=attempt.fee.amount if attempt.fee else None,
        fee_currency=attempt.fee.currency if attempt.fee else None,
        card_brand=attempt.card.brand if attempt.card else None,
        card_last4=attempt.card.last4 if attempt.card else None,
        recorded=False,
        surplus=attempt.surplus,
        at=attempt.at,
    )


def _refund(record: PaymentStatusRecord, key: str, refund: RefundState) -> TransactionRow:
    made = next((attempt for attempt in record.attempts if attempt.attempt == refund.attempt), None)
    return TransactionRow(
        order_id=key,
        id=f"refund:{refund.refund}",
        store=record.store,
        kind="refund",
        attempt=refund.attempt,
        provider=made.provider if made else None,
        method=made.method if made else None,
        reference=refund.reference,
        status=refund.status,
        code=refund.code,
        amount=refund.amount,
        currency=record.currency,
        fee=None,
        fee_currency=None,
        card_brand=None,
        card_last4=None,
        recorded=refund.recorded,
        surplus=False,
        at=refund.at,
    )


def _stray(record: PaymentStatusRecord, key: str, charge: StrayChargeState) -> TransactionRow:
    return TransactionRow(
        order_id=key,
        id=f"stray:{charge.reference}",
        store=record.store,
        kind="stray_charge",
        attempt=None,
        provider=None,
        method=None,
        reference=charge.reference,
        status="found",
        code=None,
        amount=charge.amount,
        currency=charge.currency,
        fee=None,
        fee_currency=None,
        card_brand=None,
        card_last4=None,
        recorded=False,
        surplus=False,
        at=charge.at,
    )
