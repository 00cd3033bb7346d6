"""An order as HTTP answers it: its status record, and what staff see besides."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, create_model

from services.checkout.answers import WrittenAnswer
from shared.contracts.order_status import OrderStatusRecord
from shared.core.descriptions import describe


def as_in_record(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """Fields are described as those of the record are."""
    describe(schema, kind, OrderStatusRecord)


CONFIG = OrderStatusRecord.model_config | {"json_schema_extra": as_in_record}
"""Built for the OpenAPI document alone, as all messages are built when they are needed."""
KEY: Any = (str, Field(description="The order's id."))
RECORD: Any = {name: (field.annotation, field) for name, field in OrderStatusRecord.model_fields.items()}

ListedOrder = create_model(
    "ListedOrder",
    __config__=CONFIG,
    __doc__="An order in a list: its status record.",
    key=KEY,
    **RECORD,
)
OrderAnswer = create_model(
    "OrderAnswer",
    __config__=CONFIG,
    __doc__="An order: its status record, and further fields, which staff read and may change.",
    key=KEY,
    **RECORD,
    written=(list[WrittenAnswer], Field(description="Notes, messages and what the customer asks, oldest first.")),
)
