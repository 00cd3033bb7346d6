"""An order as HTTP answers it: its status record, and what staff see besides."""

from __future__ import annotations

from typing import Any

from pydantic import Field, create_model

from services.checkout.answers import TimelineAnswer, WrittenAnswer
from shared.contracts.order_status import OrderStatusRecord

CONFIG = OrderStatusRecord.model_config | {"defer_build": True}
"""Built for the OpenAPI document alone: at the import it would cost each worker 10 ms and 0.7 MB."""
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
    __doc__="An order: its status record, its timeline, and further fields, which staff read and may change.",
    key=KEY,
    **RECORD,
    timeline=(list[TimelineAnswer], Field(description="Oldest first.")),
    written=(list[WrittenAnswer], Field(description="Notes, messages and what the customer asks, oldest first.")),
)
