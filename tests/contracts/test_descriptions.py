"""The documents say of each field of messages and HTTP bodies what it is, and in which unit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict

from deploy.documents.__main__ import PROJECT
from deploy.documents.asyncapi import document
from services.registry import PROCESSES
from shared.contracts.values import Amount, StoreId
from shared.core.descriptions import Means, Unit, describe

OTHERS = {"JsonValue"}
"""Schemas of pydantic's."""


def undescribed(schemas: dict[str, Any]) -> Iterator[str]:
    """Names of schemas and of their fields."""
    for name, schema in schemas.items():
        if name not in OTHERS and not schema.get("description"):
            yield name
        yield from (
            f"{name}.{field}" for field, it in schema.get("properties", {}).items() if not it.get("description")
        )


def test_every_field_of_every_message_is_described() -> None:
    missing = [*undescribed(document()["components"]["schemas"])]
    assert missing == [], "write a docstring under each: what it is, and in which unit"


@pytest.mark.parametrize("service", PROCESSES)
def test_every_field_of_every_http_body_is_described(service: str) -> None:
    whole = json.loads((PROJECT / f"docs/openapi/{service}.json").read_bytes())
    operations = [each for item in whole["paths"].values() for each in item.values()]
    parameters = [each for operation in operations for each in operation.get("parameters", ())]
    missing = [
        *undescribed(whole["components"]["schemas"]),
        *(it["name"] for it in parameters if not it["description"]),
    ]
    assert missing == [], "write a docstring under each: what it is, and in which unit"


class Parcel(BaseModel):
    """A parcel."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra=describe)

    store: StoreId
    sender: StoreId
    """The store that sent it."""
    postage: Amount
    """What it cost."""
    duty: Amount | None = None
    prices: dict[str, Amount]
    """By currency."""
    depots: tuple[Annotated[str, Means("A depot.")], ...] = ()
    weight: Annotated[int, Unit("In grams."), Means("With its packing.")]


def test_a_type_describes_fields_without_a_docstring_and_adds_its_unit_to_all() -> None:
    unit = "In minor units: 1999 is 19.99 USD."
    described = {name: it.get("description") for name, it in Parcel.model_json_schema()["properties"].items()}
    assert described == {
        "store": "The store's id.",
        "sender": "The store that sent it.",
        "postage": f"What it cost. {unit}",
        "duty": unit,
        "prices": f"By currency. {unit}",
        "depots": None,
        "weight": "With its packing. In grams.",
    }
