"""The rules of fulfillment: what is reserved, delivered and taken back. Pure; see README.md for the state diagram."""

from services.fulfillment.domain import calling_off, delivering, placing, settling, staff
from services.fulfillment.domain.deliveries import deliveries
from services.fulfillment.domain.pools import pools
from services.fulfillment.domain.stock import products, stocks

CORES = (deliveries, stocks, products, pools)

__all__ = [
    "CORES",
    "calling_off",
    "deliveries",
    "delivering",
    "placing",
    "pools",
    "products",
    "settling",
    "staff",
    "stocks",
]
