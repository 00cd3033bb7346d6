"""Fulfillment, put together: what it consumes and emits, its tables, its gateways."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.attention import ATTENTION
from services.fulfillment.domain import CORES
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.operations import (
    GrantAccess,
    ReturnCodes,
    RevokeAccess,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.domain.rcon_operations import GRANTS, REVOCATIONS, CheckServer, told_before
from services.fulfillment.domain.status_record import last_record
from services.fulfillment.game_servers import ServerQueries
from services.fulfillment.gateways.codes import Codes
from services.fulfillment.gateways.courses import Courses
from services.fulfillment.gateways.links import Links
from services.fulfillment.gateways.rcon import Rcon
from services.fulfillment.http import fulfillment_routes
from services.fulfillment.secrets import SealedSecrets
from services.fulfillment.settings import FulfillmentSettings
from services.fulfillment.storage import Queries, storage
from shared.contracts import checkout, fulfillment
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaid, OrderPlaced, OrderRefunded
from shared.contracts.fulfillment import (
    AddCodes,
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    ConfigureServer,
    DeliveryCodesArrived,
    DeliveryStatusRecord,
    FulfillmentRefused,
    ItemDelivered,
    ItemFailed,
    ItemProgressed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemSettled,
    ItemWaiting,
    ReceiveStock,
    RetryDelivery,
    SettleDelivery,
    ShipOrder,
    StockRefused,
    StockReleased,
    StockReserved,
    TestServer,
)
from shared.setting_types import keys_in
from shared.shell.http.outbound import Outbound
from shared.shell.sealer import Sealer
from shared.shell.service import Invariants, Recall, Service


def fulfillment_service(settings: FulfillmentSettings, engine: AsyncEngine) -> Service:
    own = settings.fulfillment
    links = Links(own.link_secret.get_secret_value(), own.public_url or f"http://{own.http_host}:{own.http_port}")
    codes = Codes(engine, own.pool_recheck)
    secrets = SealedSecrets(engine, Sealer(keys_in(own.data_keys)))
    rcon = Rcon(ServerQueries(engine), secrets, private=settings.webhooks_to_private_addresses)
    courses = Courses(Outbound(private=settings.webhooks_to_private_addresses), Queries(engine))
    return Service(
        name="fulfillment",
        cores=CORES,
        consumes={
            checkout.ORDERS: [OrderPlaced, OrderPaid, OrderCancelled, OrderExpired, OrderRefunded],
            fulfillment.COMMANDS: [
                ConfigureProduct,
                ConfigureOffer,
                ConfigureExtras,
                ReceiveStock,
                AddCodes,
                DeliveryCodesArrived,
                ShipOrder,
                RetryDelivery,
                SettleDelivery,
                *(ConfigureServer, TestServer),
            ],
        },
        emits={
            fulfillment.EVENTS: [
                StockReserved,
                StockRefused,
                StockReleased,
                ItemDelivered,
                ItemProgressed,
                ItemWaiting,
                ItemFailed,
                ItemRetried,
                ItemRevoked,
                ItemRevocationFailed,
                ItemSettled,
            ],
            fulfillment.COMMANDS: [DeliveryCodesArrived, TestServer],
            fulfillment.STATUS: [DeliveryStatusRecord],
        },
        refusal=FulfillmentRefused,
        storage=storage,
        gateways={
            SignDownload: links,
            TakeCode: codes,
            ReturnCodes: codes,
            StoreCodes: codes,
            **dict.fromkeys((GrantAccess, RevokeAccess), courses),
            **dict.fromkeys((*GRANTS, *REVOCATIONS, CheckServer), rcon),
        },
        routes=fulfillment_routes(links, own.files, secrets),
        upkeep=[secrets.seal_again],
        resources=[courses.close],
        invariants=[Invariants(Delivery, broken)],
        attention=ATTENTION,
        status_records={Delivery: last_record},
        recalled=dict.fromkeys(GRANTS, Recall(ItemDelivered, told_before)),
    )
