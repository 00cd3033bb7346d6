"""The pay page as HTML, in the order's language."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import format_currency
from jinja2 import Environment, FileSystemLoader

from services.payments.domain.pay_page import (
    PAYABLE,
    Situation,
    bank_page,
    decline_reason,
    latest_attempt,
    situation,
    tries_left,
    waits_by_hand,
)
from services.payments.domain.payment import Payment
from services.payments.gateways.pay_form import PayForm
from shared.contracts.pay_page import PayPage
from shared.contracts.times import is_time_zone
from shared.core.money import decimal_string
from shared.languages import SOURCE, language_of, translations
from shared.languages.templates import TranslatedTemplates

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = Path(__file__).parent / "assets"
MEDIA = {"pay.css": "text/css", "pay.js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class Asset:
    name: str
    """With a part that changes with its content: it is kept for good."""
    media: str
    content: bytes


@lru_cache(1)
def assets() -> Mapping[str, Asset]:
    """Our script and our styles, by their names in the folder."""
    found = {}
    for name, media in MEDIA.items():
        content = (ASSETS / name).read_bytes()
        stem, _, suffix = name.partition(".")
        found[name] = Asset(f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}", media, content)
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown, whatever the language."""

    nonce: str
    form: PayForm | None
    key: str = ""
    """Names a submission of the form: the same one twice is one."""
    returned: bool = False
    """The customer comes back from the bank, whose report may still be under way."""
    wrong: bool = False
    """No card was chosen."""


def order_page(payment: Payment, page: PayPage, at: datetime, shown: Shown) -> str:
    now, locale = situation(payment, at), page.locale
    form = shown.form if shown.form and shown.form.provider in page.providers else None
    language, numbers = language_of(locale) or SOURCE, numbers_of(locale)

    def money(amount: int) -> str:
        return format_currency(Decimal(decimal_string(amount, payment.currency)), payment.currency, locale=numbers)

    def moment(when: datetime) -> str:
        return moment_in(when, page.time_zone, numbers)

    return (
        _environment(language)
        .get_template("order.html")
        .render(
            **_base(language, shown, form),
            situation=now.value,
            page=page,
            currency=payment.currency,
            money=money,
            moment=moment,
            reason=decline_reason(payment),
            bank=bank_page(payment),
            by_hand=waits_by_hand(payment),
            attempt=latest_attempt(payment),
            tries_left=tries_left(payment),
            checking=shown.returned and now is Situation.CONFIRM,
            payable=now in PAYABLE,
            refunded=payment.refunded,
            pending=payment.pending,
            key=shown.key,
            wrong=shown.wrong,
            data=form.data_of(page.amount, payment.currency, language) if form else {},
        )
    )


def no_order_page(accepted: str, shown: Shown, *, expired: bool) -> str:
    """Of a link that is none, or is read no more. It tells nothing about an order. `accepted`: the languages that the
    browser asks for."""
    tags = [tag.partition(";")[0].strip() for tag in accepted.split(",")]
    language = next((found for tag in tags if (found := language_of(tag))), SOURCE)
    template = _environment(language).get_template("no_order.html")
    return template.render(**_base(language, shown, None), expired=expired)


def _base(language: str, shown: Shown, form: PayForm | None) -> dict[str, Any]:
    names = {name: asset.name for name, asset in assets().items()}
    return {"language": language.replace("_", "-"), "nonce": shown.nonce, "form": form, "assets": names}


@lru_cache(50)
def _environment(language: str) -> Environment:
    return TranslatedTemplates(FileSystemLoader(TEMPLATES), translations(language))


@lru_cache(1000)
def numbers_of(tag: str | None) -> Locale:
    """How amounts and times are written: as the order's locale does, in a language that there is."""
    if language_of(tag) is None:
        return Locale.parse(SOURCE)
    subtags = re.split("[-_]", tag or SOURCE)
    for count in range(min(len(subtags), 3), 0, -1):
        try:
            return Locale.parse("_".join(subtags[:count]))
        except (ValueError, UnknownLocaleError):
            continue
    return Locale.parse(SOURCE)


def moment_in(at: datetime, time_zone: str | None, locale: Locale) -> str:
    """`3. März 2026, 15:05 MEZ`."""
    zone = ZoneInfo(time_zone) if time_zone and is_time_zone(time_zone) else UTC
    local = at.astimezone(zone)
    name = local.tzname() or "UTC"
    hours = format_time(local.time(), "short", locale=locale)
    return f"{format_date(local.date(), 'long', locale=locale)}, {hours} {name if name.isalpha() else f'UTC{name}'}"
