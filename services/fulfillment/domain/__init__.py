"""The rules of fulfillment: what is reserved, delivered and revoked. Pure; README.md has the state diagram."""

from services.fulfillment.domain import (  # noqa: F401  (they register their handlers)
    by_hand,
    cancellation,
    erasure,
    hold,
    reminders,
    renewal,
    reservation,
    retry,
    returns,
    settlement,
    start,
)
from services.fulfillment.domain.carriers import carriers
from services.fulfillment.domain.delivery import deliveries
from services.fulfillment.domain.discord_connection import discord_connections
from services.fulfillment.domain.game_server import servers
from services.fulfillment.domain.kinds import code_by_hand, code_pools_low  # noqa: F401  (so do these)
from services.fulfillment.domain.pool import pools
from services.fulfillment.domain.product import histories, products
from services.fulfillment.domain.stock import stocks

CORES = (deliveries, stocks, products, histories, pools, servers, discord_connections, carriers)
