"""Further lines of one order on the terminal: what staff did by hand, what else was submitted, what was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deploy.cli.console import day_and_clock, items_in_words, money

Body = Mapping[str, Any]


def by_hand(order: Body) -> list[str]:
    """How it was paid without a provider, and what staff restored."""
    found = []
    if elsewhere := order.get("paid_elsewhere"):
        how, reference = elsewhere["method"].replace("_", " "), elsewhere["reference"]
        found.append(f"  paid      elsewhere: {how}{f', {reference}' if reference else ''}")
    if order.get("given"):
        found.append("  paid      nothing: staff gave it")
    if order.get("restored"):
        back = money(order["restored"], order["currency"])
        found.append(f"  restored  {back} went back to the customer and is not counted as refunded")
    return found


def details_of(order: Body) -> list[str]:
    """What the checkout page told besides the items."""
    found = [f"  {word:<9} {', '.join(said)}" for word, said in _submitted(order) if said]
    if opened := order.get("opened"):
        items = items_in_words(opened["items"])
        found.append(f"  opened    by {opened['email'] or 'an unknown customer'}{f': {items}' if items else ''}")
    if asked := order.get("asked"):
        why = f": {asked['text']}" if asked["text"] else ""
        found.append(f"  asks      to {asked['wants']} it since {day_and_clock(asked['at'])}{why}")
    return found


def _submitted(order: Body) -> list[tuple[str, list[str]]]:
    currency, terms = order["currency"], order.get("terms")
    accepted = order.get("terms_accepted_at")
    billing = [order.get("company"), order.get("vat_number")]
    fields = [f"{field['label']}: {field['value']}" for field in order.get("billing_fields") or ()]
    source = [order.get("source"), order.get("link"), *(f"#{tag}" for tag in order.get("tags") or ())]
    return [
        ("billing", [*filter(None, billing), *fields]),
        ("discounts", [f"{it['code']} {money(it['amount'], currency)}" for it in order.get("discounts") or ()]),
        (
            "taxes",
            [f"{it['rate']} % {it['country']} {money(it['amount'], currency)}" for it in order.get("taxes") or ()],
        ),
        ("source", [*filter(None, source)]),
        ("role", [*filter(None, [order.get("purchaser_role")])]),
        ("terms", [*filter(None, [terms, accepted and f"accepted {day_and_clock(accepted)}"])]),
    ]


WORDS = {
    "note": "note",
    "customer_note": "note on the customer",
    "asked": "the customer asks",
    "answer": "answer",
}


def written(order: Body) -> list[str]:
    """Notes, messages and what the customer asks, oldest first."""
    found = [line for entry in order.get("written") or () for line in _entry(entry)]
    return ["Written", *found, ""] if found else []


def _entry(entry: Body) -> list[str]:
    by = f" ({entry['author']})" if entry["author"] else ""
    what = WORDS.get(entry["kind"]) or f"message of the {entry['sender']}{by}"
    first, *rest = entry["text"].splitlines() or [""]
    attached = [f"attached: {', '.join(entry['attachments'])}"] if entry["attachments"] else []
    head = f"  {day_and_clock(entry['written_at'] or entry['at'])}  {entry['actor']}, {what}: {first}"
    return [head, *(f"    {line}" for line in [*rest, *attached])]
