"""What staff see of orders: pure functions from status records and events to the rows of read models."""

from services.staff.domain import archive, deliveries, messages, orders, payments  # noqa: F401
from services.staff.domain.projection import PROJECTION

__all__ = ["PROJECTION"]
