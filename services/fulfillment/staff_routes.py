"""Routes by which staff, or carriers, do something about an order's deliveries."""

from __future__ import annotations

from shared.contracts.delivery_work import (
    AttachDelivery,
    DeliveryNoted,
    DeliveryResent,
    DeliveryWaitsForStaff,
    GrantAgainDelivery,
    HoldDelivery,
    ItemReturned,
    MarkDeliveredDelivery,
    ParcelDelivered,
    ReleaseDelivery,
    RenewDownload,
    ResendDelivery,
    ReturnDelivery,
    RevokeDelivery,
    StartDelivery,
)
from shared.contracts.stock import AdjustStock, SetStock, StockLow

STAFF_ROUTES = (
    ("POST", "/orders/{key}/mark-delivered", MarkDeliveredDelivery),
    ("POST", "/orders/{key}/resend", ResendDelivery),
    ("POST", "/orders/{key}/revoke", RevokeDelivery),
    ("POST", "/orders/{key}/grant-again", GrantAgainDelivery),
    ("POST", "/orders/{key}/attach", AttachDelivery),
    ("POST", "/orders/{key}/renew", RenewDownload),
    ("POST", "/orders/{key}/hold", HoldDelivery),
    ("POST", "/orders/{key}/release", ReleaseDelivery),
    ("POST", "/orders/{key}/start", StartDelivery),
    ("POST", "/orders/{key}/return", ReturnDelivery),
    ("POST", "/orders/{key}/parcel-delivered", ParcelDelivered),
)

STAFF_COMMANDS = (*(command for _, _, command in STAFF_ROUTES), SetStock, AdjustStock)
STAFF_FACTS = (DeliveryNoted, DeliveryResent, DeliveryWaitsForStaff, ItemReturned, StockLow)
