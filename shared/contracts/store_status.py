"""The status record of a store. Key: the store's id."""

from __future__ import annotations

from pydantic import AwareDatetime, ConfigDict

from shared.contracts.store_settings import (
    DataSettings,
    FulfilmentSettings,
    MoneySettings,
    OrderSettings,
    PaymentSettings,
    ShopSettings,
    WordSettings,
)
from shared.contracts.values import Revision, Short
from shared.core import Event, Topic

STATUS = Topic(
    "stores.status.v1",
    owner="checkout",
    compacted=True,
    description="The latest complete settings of every store, for staff tools and other services.",
)
_LENIENT = ConfigDict(extra="ignore")
"""Readers ignore settings that they do not know."""


class ShopStatus(ShopSettings):
    """Its name and its addresses."""

    model_config = _LENIENT


class OrderSettingsStatus(OrderSettings):
    """Who can order, and how long a checkout stays open."""

    model_config = _LENIENT
    approval: Short | None = None  # type: ignore[assignment]  # a later build may know more values
    """Who accepts an order before it is charged: `none`, `staff` or `rule`."""
    capture: Short | None = None  # type: ignore[assignment]
    """When an order is charged: at its `submission`, or on `approval`."""
    verification: Short | None = None  # type: ignore[assignment]
    """How the card of an order that waits for approval is verified: `none`, `amount` or `setup`."""


class PaymentSettingsStatus(PaymentSettings):
    """What is paid with, and how long the store waits for it."""

    model_config = _LENIENT


class FulfilmentSettingsStatus(FulfilmentSettings):
    """When a paid order is delivered, and completed."""

    model_config = _LENIENT


class MoneySettingsStatus(MoneySettings):
    """How prices are given, and sums are shown."""

    model_config = _LENIENT


class WordSettingsStatus(WordSettings):
    """Who writes to customers, and how."""

    model_config = _LENIENT


class DataSettingsStatus(DataSettings):
    """How long personal data is kept."""

    model_config = _LENIENT


class StoreStatusRecord(Event, type="store.status", topic=STATUS):
    """All settings of one store, as `GET /stores/{store}/settings` has them: what is missing is not set. Later records
    of the same key replace earlier ones. Key: the store's id."""

    revision: Revision
    """Increases with every change of the store; in leaps when checkout's database was restored to an earlier point."""
    updated_at: AwareDatetime
    """When this state was reached, or told for the first time."""
    shop: ShopStatus
    """Its name and its addresses."""
    orders: OrderSettingsStatus
    """Who can order, and how long a checkout stays open."""
    payment: PaymentSettingsStatus
    """What is paid with, and how long the store waits for it."""
    fulfilment: FulfilmentSettingsStatus
    """When a paid order is delivered, and completed."""
    money: MoneySettingsStatus
    """How prices are given, and sums are shown."""
    words: WordSettingsStatus
    """Who writes to customers, and how."""
    data: DataSettingsStatus
    """How long personal data is kept."""
