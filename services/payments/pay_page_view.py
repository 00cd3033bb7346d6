"""The pay page as HTML, in the order's language."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader

from services.payments.domain.pay_page import (
    PAYABLE,
    TAKES_CARD,
    Situation,
    awaited_verification,
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
from shared.languages import SOURCE, language, language_of, translations
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
    now, words = situation(payment, at), language(page.locale, page.languages)
    verification = awaited_verification(payment)
    form = shown.form if shown.form and shown.form.provider in page.providers else None
    return (
        _templates(words.name)
        .get_template("order.html")
        .render(
            **_base(words.name, shown, form),
            situation=now.value,
            page=page,
            money=lambda amount: words.amount(amount, payment.currency),
            moment=lambda when: words.moment(when, page.time_zone),
            reason=decline_reason(payment),
            bank=bank_page(payment),
            by_hand=waits_by_hand(payment),
            attempt=latest_attempt(payment),
            tries_left=tries_left(payment),
            verification=verification,
            step=f"card-{verification.number}" if verification else latest_attempt(payment),
            authorised=verification.amount if verification else 0,
            checking=shown.returned and now in (Situation.CONFIRM, Situation.CARD_CONFIRM),
            payable=now in PAYABLE,
            takes_card=now in TAKES_CARD,
            refunded=payment.refunded,
            owed=payment.owed,
            key=shown.key,
            wrong=shown.wrong,
            data=form.data_of(0 if now in TAKES_CARD else page.amount, payment.currency, words.tag) if form else {},
        )
    )


def no_order_page(accepted: str, shown: Shown, *, expired: bool) -> str:
    """Of a link that is none, or is read no more. It tells nothing about an order. `accepted`: the languages that the
    browser asks for."""
    tags = [tag.partition(";")[0].strip() for tag in accepted.split(",")]
    name = next((found for tag in tags if (found := language_of(tag))), SOURCE)
    template = _templates(name).get_template("no_order.html")
    return template.render(**_base(name, shown, None), expired=expired)


def _base(name: str, shown: Shown, form: PayForm | None) -> dict[str, Any]:
    names = {file: asset.name for file, asset in assets().items()}
    return {"language": name.replace("_", "-"), "nonce": shown.nonce, "form": form, "assets": names}


@lru_cache(50)
def _templates(name: str) -> TranslatedTemplates:
    return TranslatedTemplates(FileSystemLoader(TEMPLATES), translations(name))
