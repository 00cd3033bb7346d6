"""The usual way's payments: charges a card while it handles the request."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from shared.contracts import checkout
from shared.contracts.checkout import OrderPaymentRequested
from shared.contracts.payments import PaymentCaptured
from tests.benchmarks.usual_way import outside
from tests.benchmarks.usual_way.messaging import Handlers, Incoming
from tests.benchmarks.usual_way.tables import Base

TOPICS = [checkout.ORDERS]


class Payment(Base):
    __tablename__ = "payments"
    __table_args__ = (sa.CheckConstraint("refunded <= captured"),)

    order_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str]
    store: Mapped[str]
    status: Mapped[str]
    currency: Mapped[str]
    captured: Mapped[int]
    refunded: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime] = mapped_column(index=True)


class Attempt(Base):
    __tablename__ = "attempts"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    intent: Mapped[str] = mapped_column(index=True)
    amount: Mapped[int]
    at: Mapped[datetime]


class LedgerEntry(Base):
    __tablename__ = "ledger_entries"

    id: Mapped[int] = mapped_column(sa.Identity(always=True), primary_key=True)
    order_id: Mapped[str] = mapped_column(index=True)
    account: Mapped[str]
    amount: Mapped[int]
    currency: Mapped[str]
    at: Mapped[datetime]


async def requested(message: OrderPaymentRequested, incoming: Incoming) -> None:
    session, key = incoming.session, incoming.key
    payment = await session.get(Payment, key, with_for_update=True)
    if payment is not None and payment.captured:
        return
    await outside.answer()
    intent = f"pi_{incoming.envelope.id.hex}"
    if payment is None:
        payment = Payment(order_id=key, number=message.number, store=message.store, currency=message.currency)
        session.add(payment)
    payment.status, payment.captured, payment.updated_at = "captured", message.amount, incoming.at
    session.add(
        Attempt(
            order_id=key,
            attempt=message.attempt,
            status="succeeded",
            intent=intent,
            amount=message.amount,
            at=incoming.at,
        )
    )
    for account, amount in (("provider:stripe", message.amount), ("customer", -message.amount)):
        session.add(
            LedgerEntry(order_id=key, account=account, amount=amount, currency=message.currency, at=incoming.at)
        )
    incoming.emit(
        PaymentCaptured(
            attempt=message.attempt,
            amount=message.amount,
            currency=message.currency,
            provider="stripe",
            transaction=intent,
            card=outside.CARD,
            captured_at=incoming.at,
        )
    )


HANDLERS: Handlers = {OrderPaymentRequested: requested}
