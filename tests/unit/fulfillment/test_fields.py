"""Templates of actions, and the fields of an order that they name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.fulfillment.domain.delivery import Delivery, Item, Stage
from services.fulfillment.domain.fields import fields_of, missing_text
from shared.contracts.templates import MissingFields, Template, fill, placeholders
from tests.unit.fulfillment.examples import CUSTOMER

ITEM = Item("1", "vip", "VIP rank", 2, custom_fields=(("player", "Notch"), ("world", "")))
SECOND = Item("1/2", "vip", "VIP rank", 2)
OTHER = Item("2", "cape", "Cape", 1, custom_fields=(("player", "Jeb"), ("color", "red")))
EXTRA = Item("order", "order/every", "Welcome", 1)
DELIVERY = Delivery(Stage.PAID, "acme", CUSTOMER, (ITEM, SECOND, OTHER, EXTRA), number="ORD-7")


def same(value: str) -> str:
    return value


def test_an_item_has_its_own_custom_fields_in_all_of_its_executions() -> None:
    for item in (ITEM, SECOND):
        fields = fields_of(DELIVERY, "o-1", item)

        assert (fields["custom.player"], fields["item.id"], fields["item.quantity"]) == ("Notch", "1", "2")
        assert "custom.color" not in fields
    assert fields["order.id"] == "o-1"
    assert fields["order.number"] == "ORD-7"
    assert fields["customer.email"] == "ada@example.org"
    assert "customer.phone" not in fields


def test_an_extra_has_the_custom_fields_of_all_items_and_the_first_counts() -> None:
    fields = fields_of(DELIVERY, "o-1", EXTRA)

    assert (fields["custom.player"], fields["custom.color"]) == ("Notch", "red")


def test_a_field_is_never_read_as_a_template() -> None:
    filled = fill("a {{custom.a}} {{ custom.b }}", {"custom.a": "{{custom.b}}", "custom.b": "x"}, same)

    assert filled == "a {{custom.b}} x"


def test_missing_and_blank_fields_are_all_named() -> None:
    with pytest.raises(MissingFields) as raised:
        fill("{{custom.world}} {{customer.phone}} {{item.sku}}", fields_of(DELIVERY, "o-1", ITEM), same)

    assert raised.value.names == ("custom.world", "customer.phone")
    assert "custom field world, customer.phone" in missing_text(raised.value)


def test_unknown_placeholders_are_all_refused_at_configuration() -> None:
    adapter = TypeAdapter[str](Template)
    command = 'tellraw {{custom.player name}} {"text":{"a":"{{order.number}}"}}'
    assert adapter.validate_python(command) == command
    assert placeholders(command) == ("custom.player name", "order.number")

    with pytest.raises(ValidationError, match=r"\{\{player\}\}, \{\{custom\.\}\}"):
        adapter.validate_python("{{player}} {{custom.}} {{item.sku}}")


@given(st.text(min_size=1).filter(str.strip))
def test_whatever_a_field_holds_only_its_place_changes(value: str) -> None:
    filled = fill('{"to": {{custom.to}}, "kept": "{x}"}', {"custom.to": value}, json.dumps)

    assert json.loads(filled) == {"to": value, "kept": "{x}"}
