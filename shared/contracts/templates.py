"""Texts that staff write once and that each order fills in: `say Thank you, {{customer.name}}!`.

A placeholder is `{{name}}`; single braces stand for themselves, as commands and JSON need them. Names are those of
`FIELDS`, or `custom.<field>` for what the customer wrote into a custom field of the product.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from shared.core.descriptions import Unit

FIELDS: Mapping[str, str] = {
    "order.id": "The order's id.",
    "order.number": "The order's number, as the customer reads it.",
    "store.id": "The store's id.",
    "customer.name": "The buyer's name.",
    "customer.email": "The buyer's email address.",
    "customer.phone": "The buyer's phone number, if given.",
    "customer.id": "The storefront's id for the buyer, if signed in.",
    "item.id": "The item's id within the order, or `offer` or `order`.",
    "item.sku": "The item's SKU.",
    "item.product": "The product's name.",
    "item.quantity": "How many units.",
}
CUSTOM = "custom."
_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


class MissingFields(Exception):
    """An order does not have fields that a template needs."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(", ".join(names))
        self.names = names


def placeholders(template: str) -> tuple[str, ...]:
    """The names in it, each once."""
    return tuple(dict.fromkeys(name.strip() for name in _PLACEHOLDER.findall(template)))


def fill(template: str, fields: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """Put in the fields, each escaped for the language that the template is written in. What a field holds is never
    read as a template. Raises MissingFields for those that the order lacks or has left blank."""
    missing = tuple(name for name in placeholders(template) if not fields.get(name, "").strip())
    if missing:
        raise MissingFields(missing)
    return _PLACEHOLDER.sub(lambda found: escape(fields[found[1].strip()]), template)


def _known(template: str) -> str:
    """Raises ValueError that says every unknown name."""
    unknown = [name for name in placeholders(template) if name not in FIELDS and not _is_custom(name)]
    if unknown:
        named = ", ".join(f"{{{{{name}}}}}" for name in unknown)
        raise ValueError(f"has unknown placeholders: {named}. Known are {', '.join(FIELDS)} and {CUSTOM}<field>")
    return template


def _is_custom(name: str) -> bool:
    return name.startswith(CUSTOM) and len(name) > len(CUSTOM)


def console_command(template: str) -> str:
    """The template, if a console can take it for one command. Raises ValueError."""
    first = template.split(" ", maxsplit=1)[0]
    if not template.isprintable() or not first or placeholders(first) or "{{" in first:
        raise ValueError("must be one line that begins with a literal word: the command's name")
    return template


Template = Annotated[
    str,
    StringConstraints(max_length=2000),
    AfterValidator(_known),
    Unit("Text in which `{{name}}` stands for a field of the order, as in `{{custom.player}}`."),
]
"""Raises ValueError, when a message is read, for a placeholder that names no field."""
