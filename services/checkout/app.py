"""Checkout, wired: the only service that changes an order's status."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from services.checkout.attention import ATTENTION
from services.checkout.domain import CORES
from services.checkout.domain.invariants import broken
from services.checkout.domain.order import Order
from services.checkout.domain.status_record import status_record
from services.checkout.domain.store import Store
from services.checkout.domain.store_settings import last_record
from services.checkout.explanation import explain
from services.checkout.gauges import GAUGES
from services.checkout.http import routes
from services.checkout.settings import CheckoutSettings
from services.checkout.storage import ERASED, storage
from services.checkout.untold import UntoldStores
from shared.contracts import (
    approval,
    card_verification,
    checkout,
    codes,
    delivery_work,
    erasure,
    fulfillment,
    order_work,
    pay_page,
    payments,
    stock,
    store_settings,
    store_status,
    storefront,
    stores,
)
from shared.core import Message, Topic
from shared.shell.postgres.erasure import Erasing
from shared.shell.service import Invariants, Service

CONSUMES: Mapping[Topic, Collection[type[Message]]] = {
    storefront.CHECKOUTS: (
        storefront.CheckoutOpened,
        storefront.CheckoutSubmitted,
        storefront.CheckoutPaymentRetried,
        storefront.CheckoutAbandoned,
        storefront.CheckoutAsked,
    ),
    checkout.COMMANDS: (
        stores.ConfigureStore,
        store_settings.ChangeStore,
        stores.DefineSku,
        stores.DefineProduct,
        checkout.CancelOrder,
        checkout.CompleteOrder,
        order_work.NoteOrder,
        order_work.MessageOrder,
        order_work.AnswerOrder,
        order_work.ReopenOrder,
        approval.AcceptOrder,
        approval.DeclineOrder,
        erasure.EraseCustomer,
    ),
    payments.EVENTS: (
        payments.PaymentCaptured,
        payments.PaymentDeclined,
        payments.PaymentActionRequired,
        payments.PaymentUnresolved,
        payments.PaymentStrayCharge,
        payments.PaymentSettled,
        payments.PaymentCancelled,
        payments.PaymentRefunded,
        payments.PaymentSurplusRefunded,
        payments.PaymentRefundFailed,
        payments.PaymentsRefused,
        card_verification.PaymentVerified,
        card_verification.PaymentVerificationActionRequired,
        card_verification.PaymentVerificationDeclined,
        pay_page.PaymentRetryRequested,
    ),
    fulfillment.EVENTS: (
        fulfillment.StockReserved,
        fulfillment.StockRefused,
        stock.StockLow,
        delivery_work.DeliveryNoted,
        delivery_work.DeliveryResent,
        delivery_work.DeliveryWaitsForStaff,
        delivery_work.ItemReturned,
        fulfillment.ItemDelivered,
        fulfillment.ItemProgressed,
        fulfillment.ItemWaiting,
        fulfillment.ItemFailed,
        fulfillment.ItemRetried,
        fulfillment.ItemRevoked,
        fulfillment.ItemRevocationFailed,
        codes.PoolLow,
    ),
}
EMITS: Mapping[Topic, Collection[type[Message]]] = {
    checkout.ORDERS: (
        checkout.OrderCreated,
        checkout.OrderPlaced,
        checkout.OrderPaymentRequested,
        checkout.OrderPaymentActionRequired,
        checkout.OrderPaymentDeclined,
        checkout.OrderPaymentReminder,
        checkout.OrderPaymentClosing,
        checkout.OrderPaid,
        order_work.OrderPaidElsewhere,
        order_work.OrderAsked,
        order_work.OrderAnswered,
        order_work.OrderNoted,
        checkout.OrderStrayCharge,
        checkout.OrderItemsDelivered,
        checkout.OrderDeliveryFailed,
        checkout.OrderDeliveryWaiting,
        checkout.OrderSupplyLow,
        delivery_work.OrderWaitsForStaff,
        checkout.OrderDeliveryResumed,
        checkout.OrderCompleted,
        checkout.OrderCancelled,
        checkout.OrderExpired,
        checkout.OrderFailed,
        checkout.OrderRefunded,
        checkout.OrderRefundFailed,
        approval.OrderVerificationRequested,
        approval.OrderCardNeeded,
        approval.OrderApprovalRequested,
        approval.OrderAccepted,
        approval.OrderDeclined,
        erasure.OrderErased,
    ),
    checkout.STATUS: (checkout.OrderStatusRecord,),
    store_status.STATUS: (store_status.StoreStatusRecord,),
    payments.COMMANDS: (payments.RefundPayment,),
    fulfillment.COMMANDS: (fulfillment.RetryDelivery, delivery_work.StartDelivery),
}


def checkout_service(settings: CheckoutSettings, engine: AsyncEngine) -> Service:
    erasing = Erasing(engine, ERASED, settings.kafka.retention)
    return Service(
        name="checkout",
        cores=CORES,
        consumes=CONSUMES,
        emits=EMITS,
        refusal=checkout.CheckoutRefused,
        storage=storage,
        routes=routes,
        gauges=GAUGES,
        invariants=[Invariants(Order, broken)],
        attention=ATTENTION,
        explain=explain,
        order_state=Order,
        status_records={Order: status_record, Store: last_record},
        own_reports=[UntoldStores(engine)],
        upkeep=[erasing.upkeep],
        tasks=[erasing.run],
    )
