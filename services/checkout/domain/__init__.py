"""What checkout decides. Importing this registers every handler with its core."""

from services.checkout.domain import (  # noqa: F401
    approval,
    cancellation,
    card_verification,
    completion,
    correspondence,
    delivery,
    erasure,
    expiry,
    kept,
    pay_again,
    payment,
    payment_failure,
    placement,
    refund,
    returned,
    staff_delivery,
    stock,
    store_change,
    supply,
)
from services.checkout.domain.order import orders
from services.checkout.domain.product import products
from services.checkout.domain.sku import skus
from services.checkout.domain.store import stores

CORES = (stores, products, skus, orders)
