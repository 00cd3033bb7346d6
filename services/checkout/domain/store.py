"""A store's settings. Key: the store's id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.checkout.domain.card_check import NONE, SUBMISSION
from shared.contracts.providers import DEFAULT
from shared.contracts.stores import PAYMENT_COOL_DOWN, PAYMENT_TRIES
from shared.contracts.values import StoreCard
from shared.core import Core, Refused

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
"""What an id of a store, a SKU or an order looks like (`values.Id`)."""
LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class Store:
    """The settings of a store, and how other services know it."""

    card: StoreCard
    currencies: tuple[str, ...]
    grace: timedelta
    """How long an unpaid order stays open, from its submission, and once more from its first declined payment."""
    abandon_after: timedelta
    """How long a checkout stays open without being submitted."""
    require_sign_in: bool = False
    statement_descriptor: str | None = None
    payment_providers: tuple[str, ...] = (DEFAULT,)
    payment_tries: int = PAYMENT_TRIES
    payment_cool_down: timedelta = PAYMENT_COOL_DOWN
    show_partial_refund_as_refunded: bool = False
    payment_methods: Mapping[str, tuple[str, ...]] | None = None
    """Which methods of a provider can be chosen; of others all."""
    prices_include_tax: bool | None = None
    """None: each checkout says it."""
    complete_by_hand: bool = False
    hold_total_above: Mapping[str, int] | None = None
    """Minor units by currency."""
    hold_other_country: bool = False
    hold_email_domains: tuple[str, ...] = ()
    reminders: tuple[timedelta, ...] = ()
    approval: str = NONE
    """Who accepts an order before it is charged: `none`, `staff` or `rule`."""
    capture: str = SUBMISSION
    """When an order is charged: at `submission`, or on `approval`."""
    verification: str = NONE
    """How the card of an order that waits for approval is verified: `none`, `amount` or `setup`."""
    verification_amount: Mapping[str, int] | None = None
    """What is authorised, in minor units by currency."""
    accept_up_to: Mapping[str, int] | None = None
    """By rule, in minor units by currency."""
    hold_first_order: bool = False
    keep_abandoned: timedelta | None = None
    """How long what an opened checkout told is kept, if it is never submitted. None: for good."""
    revision: int = 0
    """Of its status record. 0: it was not told yet, for older builds told none."""
    updated_at: datetime | None = None
    """When it was told last."""


stores = Core(Store)


def store_named(key: str) -> str:
    """The store in the key of what it sells."""
    return key.partition("/")[0]


def unknown_store(store: str) -> Refused:
    return Refused("unknown_store", f"There is no store {store}: define it first.")
