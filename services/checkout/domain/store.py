"""A store's settings. Key: the store's id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from shared.contracts.checkout import ConfigureStore
from shared.contracts.values import StoreCard
from shared.core import Context, Core, Decision, Problem, Refused

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}")
"""What an id of a store, a SKU or an order looks like (`values.Id`)."""
LONGEST_URL = 2000


@dataclass(frozen=True, slots=True)
class Store:
    """What a store wants of its orders."""

    card: StoreCard
    currencies: tuple[str, ...]
    grace: timedelta
    """How long an unpaid order waits, from its submission and again from each declined payment."""
    abandon_after: timedelta
    """How long a merely opened checkout lives."""
    require_sign_in: bool = False
    statement_descriptor: str | None = None


stores = Core(Store)


@stores.on_old(ConfigureStore)
def configured(store: Store | None, message: ConfigureStore, context: Context) -> Decision[Store] | Refused:
    problems = _problems(message, context.key)
    if problems:
        return Refused("invalid_store", "The store's settings are not right.", problems)
    card = StoreCard(
        id=context.key,
        name=message.name,
        sender=message.sender,
        staff_email=message.staff_email,
        support_email=message.support_email,
        order_url=message.order_url,
    )
    changed = Store(
        card=card,
        currencies=message.currencies,
        grace=message.grace,
        abandon_after=message.abandon_after,
        require_sign_in=message.require_sign_in,
        statement_descriptor=message.statement_descriptor,
    )
    return Decision(changed)


def _problems(message: ConfigureStore, key: str) -> list[Problem]:
    problems = []
    if not ID.fullmatch(key):
        problems.append(Problem(field="", code="bad_store_id", text="The key is not a store id."))
    if len(order_page(message.order_url, "x" * 64)) > LONGEST_URL:
        problems.append(Problem(field="order_url", code="too_long", text="Too long once it carries an order id."))
    return problems


def order_page(order_url: str, order: str) -> str:
    """Where the customer sees an order and pays again."""
    return order_url.replace("{order}", order)
