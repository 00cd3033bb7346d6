"""A store's settings. Key: the store's id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from services.checkout.domain.tries import LONGEST_COOL_DOWN, MOST_TRIES
from shared.contracts.checkout import PAYMENT_COOL_DOWN, PAYMENT_TRIES, ConfigureStore
from shared.contracts.providers import CHARGES, DEFAULT, MANUAL, METHODS, not_chargeable
from shared.contracts.values import StoreCard, order_page
from shared.core import Context, Core, Decision, Problem, Refused

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


stores = Core(Store)


@stores.begins(ConfigureStore)
def configured(store: Store | None, command: ConfigureStore, context: Context) -> Decision[Store] | Refused:
    problems = _problems(command, context.key)
    if problems:
        return Refused("invalid_store", "The store's settings are invalid.", problems)
    card = StoreCard(
        id=context.key,
        name=command.name,
        sender=command.sender,
        staff_email=command.staff_email,
        support_email=command.support_email,
        order_url=command.order_url,
    )
    return Decision(
        Store(
            card=card,
            currencies=command.currencies,
            grace=command.grace,
            abandon_after=command.abandon_after,
            require_sign_in=command.require_sign_in,
            statement_descriptor=command.statement_descriptor,
            payment_providers=command.payment_providers,
            payment_tries=command.payment_tries,
            payment_cool_down=command.payment_cool_down,
            show_partial_refund_as_refunded=command.show_partial_refund_as_refunded,
        )
    )


def _problems(command: ConfigureStore, key: str) -> list[Problem]:
    problems = []
    if not ID.fullmatch(key):
        problems.append(Problem(field="", code="bad_store_id", text="The key is not a valid store id."))
    problems += [
        not_chargeable(f"currencies.{index}", currency)
        for index, currency in enumerate(command.currencies)
        if MANUAL not in command.payment_providers and currency not in CHARGES[DEFAULT]
    ]
    known = ", ".join(METHODS)
    if not command.payment_providers:
        problems.append(Problem(field="payment_providers", code="missing", text=f"Name at least one of {known}."))
    problems += [
        Problem(field=f"payment_providers.{index}", code="unknown_provider", text=f"Must be one of {known}.")
        for index, provider in enumerate(command.payment_providers)
        if provider not in METHODS
    ]
    if len(order_page(command.order_url, "x" * 64)) > LONGEST_URL:
        text = f"Longer than {LONGEST_URL} characters with an order id filled in."
        problems.append(Problem(field="order_url", code="too_long", text=text))
    if not 1 <= command.payment_tries <= MOST_TRIES:
        text = f"Must be between 1 and {MOST_TRIES}."
        problems.append(Problem(field="payment_tries", code="out_of_range", text=text))
    if command.payment_cool_down > LONGEST_COOL_DOWN:
        problems.append(Problem(field="payment_cool_down", code="too_long", text="Must be at most one hour."))
    return problems
