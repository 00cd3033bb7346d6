"""Payments, put together: what it consumes, what it emits, and who performs its operations."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.domain import CORES
from services.payments.domain.invariants import broken
from services.payments.domain.operations import CancelCharge, ChargeCard, FindCharge, FindRefund, RefundCharge
from services.payments.domain.payment import Payment
from services.payments.gateways.providers import Providers
from services.payments.gateways.stripe import StripeGateway
from services.payments.gauges import GAUGES
from services.payments.http import routes
from services.payments.settings import PaymentsSettings
from services.payments.storage import storage
from shared.contracts import checkout, payments
from shared.shell.operations.rate_limit import RateLimiter
from shared.shell.postgres.reservations import PostgresReservations
from shared.shell.service import Invariants, Service


def payments_service(settings: PaymentsSettings, engine: AsyncEngine, now: Callable[[], float] = time.time) -> Service:
    """`now` gives Unix seconds."""
    limiter = RateLimiter(PostgresReservations(engine), settings.stripe.requests_per_second)
    stripe = StripeGateway(settings.stripe, limiter=limiter, now=now)
    providers = Providers({"stripe": stripe})
    return Service(
        name="payments",
        cores=CORES,
        consumes={
            payments.COMMANDS: [payments.RefundPayment, payments.SettlePayment],
            checkout.ORDERS: [checkout.OrderPaymentRequested, checkout.OrderCancelled, checkout.OrderExpired],
        },
        emits={
            payments.EVENTS: [
                payments.PaymentActionRequired,
                payments.PaymentCaptured,
                payments.PaymentDeclined,
                payments.PaymentUnresolved,
                payments.PaymentSettled,
                payments.PaymentSettlementContradicted,
                payments.PaymentCancelled,
                payments.PaymentRefunded,
                payments.PaymentRefundFailed,
                payments.PaymentSurplusRefunded,
            ]
        },
        refusal=payments.PaymentsRefused,
        storage=storage,
        gateways={
            ChargeCard: providers,
            CancelCharge: providers,
            RefundCharge: providers,
            FindCharge: providers,
            FindRefund: providers,
        },
        gauges=GAUGES,
        invariants=[Invariants(Payment, broken)],
        routes=routes(settings.stripe),
        resources=[stripe.close],
    )
