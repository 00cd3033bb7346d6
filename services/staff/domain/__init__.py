"""What staff see of orders: pure functions from status records and events to the rows of read models; and the rules of
what staff keep for themselves."""

from services.staff.domain import archive, deliveries, messages, orders, payments, stores  # noqa: F401
from services.staff.domain.projection import PROJECTION
from services.staff.domain.saved_view import saved_views

CORES = (saved_views,)
__all__ = ["CORES", "PROJECTION"]
