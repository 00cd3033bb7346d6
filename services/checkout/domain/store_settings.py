"""The settings of a store by their names (`payment.grace`): where each is kept, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from services.checkout.domain.card_check import amount_problems, approval_problems
from services.checkout.domain.kept import kept_problems
from services.checkout.domain.store import LONGEST_URL, Store
from services.checkout.domain.tries import LONGEST_COOL_DOWN, MOST_TRIES
from shared.contracts.providers import CHARGES, DEFAULT, MANUAL, METHODS, not_chargeable
from shared.contracts.store_settings import StoreSettings
from shared.contracts.store_status import StoreStatusRecord
from shared.contracts.stores import ConfigureStore
from shared.contracts.text import domain_name
from shared.contracts.times import is_time_zone
from shared.contracts.values import OrderStatus, StoreCard, order_page
from shared.core import Problem
from shared.core.money import CURRENCIES
from shared.languages import language_of, languages

CARD = "card."
KEPT_IN: Mapping[str, str] = {
    "shop.name": "card.name",
    "shop.staff_email": "card.staff_email",
    "shop.support_email": "card.support_email",
    "shop.order_url": "card.order_url",
    "orders.require_sign_in": "require_sign_in",
    "orders.abandon_after": "abandon_after",
    "orders.approval": "approval",
    "orders.capture": "capture",
    "orders.verification": "verification",
    "orders.verification_amount": "verification_amount",
    "orders.accept_up_to": "accept_up_to",
    "payment.currencies": "currencies",
    "payment.providers": "payment_providers",
    "payment.methods": "payment_methods",
    "payment.descriptor": "statement_descriptor",
    "payment.grace": "grace",
    "payment.tries": "payment_tries",
    "payment.cool_down": "payment_cool_down",
    "payment.reminders": "reminders",
    "fulfilment.start_by_hand": "card.start_by_hand",
    "fulfilment.complete_by_hand": "complete_by_hand",
    "fulfilment.hold_total_above": "hold_total_above",
    "fulfilment.hold_other_country": "hold_other_country",
    "fulfilment.hold_email_domains": "hold_email_domains",
    "fulfilment.hold_first_order": "hold_first_order",
    "money.prices_include_tax": "prices_include_tax",
    "money.show_partial_refund_as_refunded": "show_partial_refund_as_refunded",
    "words.sender": "card.sender",
    "words.languages": "card.languages",
    "words.time_zone": "card.time_zone",
    "words.statuses": "card.status_words",
    "data.keep_abandoned": "keep_abandoned",
    "data.keep_orders": "card.keep_orders",
}
"""The field of each setting: of the store, or of its card."""
_DEFAULTS: Mapping[str, object] = (
    {field.name: field.default for field in dataclasses.fields(Store) if field.default is not dataclasses.MISSING}
    | {name: field.default for name, field in ConfigureStore.model_fields.items() if not field.is_required()}
    | {f"{CARD}{name}": field.default for name, field in StoreCard.model_fields.items() if not field.is_required()}
)
DEFAULTS: Mapping[str, object] = {name: _DEFAULTS[field] for name, field in KEPT_IN.items() if field in _DEFAULTS}
"""By the name of the setting. What is not there must be given."""
MOST_REMINDERS, MOST_DOMAINS = 10, 200
Values = dict[str, Any]
"""By the name of the setting."""


def values_of(store: Store) -> Values:
    return {name: _kept(store, field) for name, field in KEPT_IN.items()}


def _kept(store: Store, field: str) -> object:
    return getattr(store.card, field.removeprefix(CARD)) if field.startswith(CARD) else getattr(store, field)


def store_with(key: str, values: Values) -> Store:
    """A store of these settings: all of them."""
    card = {KEPT_IN[name].removeprefix(CARD): value for name, value in values.items() if _in_card(name)}
    own = {KEPT_IN[name]: value for name, value in values.items() if not _in_card(name)}
    return Store(card=StoreCard(id=key, **card), **own)


def _in_card(name: str) -> bool:
    return KEPT_IN[name].startswith(CARD)


def settings_of(store: Store) -> StoreSettings:
    return StoreSettings.model_validate(_nested(values_of(store)))


def last_record(store: Store) -> StoreStatusRecord | None:
    """What is told of it on `stores.status.v1`; None if nothing was told of it yet."""
    return status_record(store) if store.updated_at else None


def status_record(store: Store) -> StoreStatusRecord:
    told = {"revision": store.revision, "updated_at": store.updated_at}
    return StoreStatusRecord.model_validate(told | _nested(values_of(store)))


def _nested(values: Values) -> dict[str, Values]:
    groups: dict[str, Values] = {}
    for name, value in values.items():
        group, _, setting = name.partition(".")
        groups.setdefault(group, {})[setting] = value
    return groups


def told(store: Store) -> Values:
    """Every setting as JSON, by its name."""
    groups = settings_of(store).model_dump(mode="json")
    return {f"{group}.{name}": value for group, settings in groups.items() for name, value in settings.items()}


def given(settings: StoreSettings) -> Values:
    """The settings that a change has."""
    groups = ((group, getattr(settings, group)) for group in StoreSettings.model_fields)
    named = ((f"{group}.{name}", getattr(part, name)) for group, part in groups for name in type(part).model_fields)
    return {name: value for name, value in named if value is not None}


# What is wrong


def problems_of(values: Values) -> Iterator[Problem]:
    """Of settings that would be a store's, as far as they are given: all that is wrong, and what contradicts what."""
    yield from approval_problems(values)
    yield from amount_problems(values["orders.verification_amount"], values.get("payment.currencies", ()))
    yield from _payment_problems(values)
    yield from _method_problems(values)
    yield from _reminder_problems(values)
    yield from _hold_problems(values)
    yield from _word_problems(values)
    yield from kept_problems(values)
    if len(order_page(values.get("shop.order_url", ""), "x" * 64)) > LONGEST_URL:
        text = f"Longer than {LONGEST_URL} characters with an order id filled in."
        yield Problem(field="shop.order_url", code="too_long", text=text)


def _payment_problems(values: Values) -> Iterator[Problem]:
    known, providers, currencies = ", ".join(METHODS), values["payment.providers"], values.get("payment.currencies")
    if currencies == ():
        yield Problem(field="payment.currencies", code="missing", text="Name at least one currency.")
    for index, currency in enumerate(currencies or ()):
        field = f"payment.currencies.{index}"
        if currency not in CURRENCIES:
            yield Problem(field=field, code="unknown_currency", text=f"{currency!r} is no currency of ISO 4217.")
        elif MANUAL not in providers and currency not in CHARGES[DEFAULT]:
            yield not_chargeable(field, currency)
    if not providers:
        yield Problem(field="payment.providers", code="missing", text=f"Name at least one of {known}.")
    for index, provider in enumerate(providers):
        if provider not in METHODS:
            text = f"Must be one of {known}."
            yield Problem(field=f"payment.providers.{index}", code="unknown_provider", text=text)
    if not 1 <= values["payment.tries"] <= MOST_TRIES:
        text = f"Must be between 1 and {MOST_TRIES}."
        yield Problem(field="payment.tries", code="out_of_range", text=text)
    if values["payment.cool_down"] > LONGEST_COOL_DOWN:
        yield Problem(field="payment.cool_down", code="too_long", text="Must be at most one hour.")


def _method_problems(values: Values) -> Iterator[Problem]:
    for provider, methods in (values["payment.methods"] or {}).items():
        field, known = f"payment.methods.{provider}", METHODS.get(provider, ())
        if provider not in values["payment.providers"]:
            text = f"payment.methods has methods of {provider}, which payment.providers does not have."
            yield Problem(field=field, code="contradiction", text=text)
        elif unknown := [method for method in methods if method not in known]:
            text = f"{provider} has no {', '.join(unknown)}, but {', '.join(known)}."
            yield Problem(field=field, code="unknown_method", text=text)


def _reminder_problems(values: Values) -> Iterator[Problem]:
    field, reminders, grace = "payment.reminders", values["payment.reminders"], values["payment.grace"]
    if len(reminders) > MOST_REMINDERS:
        yield Problem(field=field, code="too_many", text=f"At most {MOST_REMINDERS} reminders.")
    if any(later <= earlier for earlier, later in pairwise(reminders)):
        yield Problem(field=field, code="out_of_order", text="Each reminder must come after the one before.")
    if reminders and max(reminders) >= grace:
        text = f"payment.reminders has one after payment.grace ({grace}) has ended."
        yield Problem(field=field, code="contradiction", text=text)
    if reminders and values["payment.tries"] == 1 and MANUAL not in values["payment.providers"]:
        text = "payment.reminders would remind customers who cannot pay again: payment.tries is 1."
        yield Problem(field=field, code="contradiction", text=text)


def _hold_problems(values: Values) -> Iterator[Problem]:
    for currency in values["fulfilment.hold_total_above"] or ():
        if currency not in values.get("payment.currencies", ()):
            text = f"fulfilment.hold_total_above has {currency}, which payment.currencies does not have."
            yield Problem(field=f"fulfilment.hold_total_above.{currency}", code="contradiction", text=text)
    domains = values["fulfilment.hold_email_domains"]
    if len(domains) > MOST_DOMAINS:
        text = f"At most {MOST_DOMAINS} domains."
        yield Problem(field="fulfilment.hold_email_domains", code="too_many", text=text)
    for index, domain in enumerate(domains):
        if not domain_name(domain):
            field = f"fulfilment.hold_email_domains.{index}"
            yield Problem(field=field, code="bad_domain", text=f"{domain!r} is no domain, such as example.com.")


def _word_problems(values: Values) -> Iterator[Problem]:
    if (zone := values["words.time_zone"]) and not is_time_zone(zone):
        text = f"{zone!r} is no time zone, such as Europe/Berlin."
        yield Problem(field="words.time_zone", code="unknown_time_zone", text=text)
    yield from _language_problems(values["words.languages"])
    for status in values["words.statuses"] or ():
        if status not in set(OrderStatus):
            text = f"{status!r} is no status: {', '.join(OrderStatus)}."
            yield Problem(field=f"words.statuses.{status}", code="unknown_status", text=text)


_TAG = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
"""As the locale of an order."""


def _language_problems(tags: tuple[str, ...] | None) -> Iterator[Problem]:
    if tags == ():
        yield Problem(field="words.languages", code="missing", text="Name at least one language.")
    for index, tag in enumerate(tags or ()):
        field, language = f"words.languages.{index}", language_of(tag)
        if language is None or not _TAG.fullmatch(tag):
            text = f"There are no texts in {tag!r}, but in {', '.join(languages())}."
            yield Problem(field=field, code="unknown_language", text=text)
        elif language in map(language_of, (tags or ())[:index]):
            text = f"{tag!r} is a language that words.languages has before."
            yield Problem(field=field, code="repeated_language", text=text)


def sender_problems(sender: str) -> Iterator[Problem]:
    """Earlier versions took any. A mail server refuses one of a domain that cannot be in DNS."""
    domain = domain_name(sender.rpartition("@")[2])
    *names, last = domain.split(".")
    if not names or last.isdigit() or "_" in domain:
        text = f"{sender.rpartition('@')[2]} is no domain that can receive answers."
        yield Problem(field="words.sender", code="bad_domain", text=text)
