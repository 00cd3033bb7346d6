"""Payments, put together: what it consumes, what it emits, and who performs its operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from services.payments.attention import ATTENTION
from services.payments.domain import CORES
from services.payments.domain.invariants import broken
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    FindCharge,
    FindFee,
    FindRefund,
    RefundCharge,
    RetryRefund,
)
from services.payments.domain.payment import Payment
from services.payments.domain.reported import as_message
from services.payments.domain.status_record import last_record
from services.payments.domain.verification import FindVerification, ForgetCard, ReleaseVerification, VerifyCard
from services.payments.ended import ForgettingEnded
from services.payments.explanation import explain
from services.payments.gateways.provider import GatewayByProvider
from services.payments.gauges import GAUGES
from services.payments.http import routes
from services.payments.owed import refresh_owed
from services.payments.providers import providers_of
from services.payments.settings import PaymentsSettings
from services.payments.storage import ERASED, storage
from shared.contracts import approval, card_verification, checkout, erasure, order_work, pay_page, payments
from shared.core import Message, Topic
from shared.pay_links import PayLinks
from shared.shell.postgres.erasure import Erasing
from shared.shell.postgres.reservations import PostgresReservations
from shared.shell.service import Invariants, Service

OPERATIONS = (
    *(ChargeCard, CancelCharge, RefundCharge, RetryRefund, FindCharge, FindFee, FindRefund),
    *(VerifyCard, ReleaseVerification, FindVerification, ForgetCard),
)
EMITS: Mapping[Topic, Collection[type[Message]]] = {
    payments.EVENTS: [
        payments.PaymentActionRequired,
        payments.PaymentCaptured,
        payments.PaymentDeclined,
        payments.PaymentUnresolved,
        payments.PaymentStrayCharge,
        payments.PaymentRefundNeeded,
        payments.PaymentSettled,
        payments.PaymentSettlementContradicted,
        payments.PaymentCancelled,
        payments.PaymentRefunded,
        payments.PaymentRefundFailed,
        payments.PaymentSurplusRefunded,
        card_verification.PaymentVerified,
        card_verification.PaymentVerificationActionRequired,
        card_verification.PaymentVerificationDeclined,
        pay_page.PaymentRetryRequested,
    ],
    payments.CALLBACKS: [payments.PaymentReported],
    payments.STATUS: [payments.PaymentStatusRecord],
}
COMMANDS = (payments.RefundPayment, payments.RecordPayment, payments.SettlePayment, pay_page.RetryPayment)
ORDER_EVENTS: Collection[type[Message]] = (
    checkout.OrderPaymentRequested,
    checkout.OrderPaymentClosing,
    checkout.OrderPaymentActionRequired,
    checkout.OrderPaymentDeclined,
    checkout.OrderPaymentReminder,
    checkout.OrderCancelled,
    order_work.OrderPaidElsewhere,
    checkout.OrderExpired,
    approval.OrderDeclined,
    approval.OrderVerificationRequested,
    approval.OrderCardNeeded,
    approval.OrderApprovalRequested,
    erasure.OrderErased,
)


def payments_service(settings: PaymentsSettings, engine: AsyncEngine, now: Callable[[], float] = time.time) -> Service:
    """`now` gives Unix seconds."""
    providers = providers_of(settings)
    gateways = {provider.name: provider.gateway(PostgresReservations(engine), now) for provider in providers}
    erasing = Erasing(engine, ERASED, settings.kafka.retention)
    return Service(
        name="payments",
        cores=CORES,
        consumes={
            payments.COMMANDS: COMMANDS,
            payments.CALLBACKS: [payments.PaymentReported],
            checkout.ORDERS: ORDER_EVENTS,
        },
        emits=EMITS,
        refusal=payments.PaymentsRefused,
        kept=as_message,
        storage=storage,
        gateways=dict.fromkeys(OPERATIONS, GatewayByProvider(gateways)),
        gauges=GAUGES,
        invariants=[Invariants(Payment, broken)],
        attention=ATTENTION,
        explain=explain,
        order_state=Payment,
        status_records={Payment: last_record},
        routes=routes(providers, PayLinks.of(settings.pay_page)),
        upkeep=[partial(refresh_owed, engine), ForgettingEnded(engine, settings.kafka.retention), erasing.upkeep],
        tasks=[erasing.run],
        resources=[gateway.close for gateway in gateways.values()],
    )
