"""Fulfillment, put together: what it consumes and emits, its tables, its gateways."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.attention import ATTENTION
from services.fulfillment.domain import CORES
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.operations import (
    CountCodes,
    GiveCodes,
    GrantAccess,
    ReturnCodes,
    RevokeAccess,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.domain.status_record import last_record
from services.fulfillment.download_log import DownloadLog
from services.fulfillment.gateways.clear_codes import SealingOfClearCodes
from services.fulfillment.gateways.code_import import CodeImport
from services.fulfillment.gateways.code_vault import CodeVault, SealingAgain
from services.fulfillment.gateways.codes import Codes
from services.fulfillment.gateways.courses import Courses
from services.fulfillment.gateways.links import Links
from services.fulfillment.http import fulfillment_routes
from services.fulfillment.pool_gauges import GAUGES
from services.fulfillment.secrets import SealedSecrets
from services.fulfillment.settings import FulfillmentSettings
from services.fulfillment.storage import Queries, storage
from shared.contracts import checkout, fulfillment
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaid, OrderPlaced, OrderRefunded
from shared.contracts.fulfillment import (
    AddCodes,
    CodesImported,
    ConfigureExtras,
    ConfigureOffer,
    ConfigurePool,
    ConfigureProduct,
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
    PoolLow,
    ProvideCode,
    ReceiveStock,
    RetryDelivery,
    SettleDelivery,
    ShipOrder,
    StockRefused,
    StockReleased,
    StockReserved,
)
from shared.setting_types import keys_in
from shared.shell.http.outbound import Outbound
from shared.shell.sealer import Sealer
from shared.shell.service import Invariants, Service

OF_CODES = (AddCodes, CodesImported, ConfigurePool, ProvideCode)


def fulfillment_service(settings: FulfillmentSettings, engine: AsyncEngine) -> Service:
    own = settings.fulfillment
    links = Links(own.link_secret.get_secret_value(), own.public_url or f"http://{own.http_host}:{own.http_port}")
    sealer = Sealer(keys_in(own.data_keys))
    secrets, vault = SealedSecrets(engine, sealer), CodeVault(sealer)
    codes = Codes(engine, own.pool_recheck, vault)
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
                *OF_CODES,
                DeliveryCodesArrived,
                ShipOrder,
                RetryDelivery,
                SettleDelivery,
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
                PoolLow,
            ],
            fulfillment.COMMANDS: [DeliveryCodesArrived],
            fulfillment.STATUS: [DeliveryStatusRecord],
        },
        refusal=FulfillmentRefused,
        storage=storage,
        gateways={
            SignDownload: links,
            TakeCode: codes,
            **dict.fromkeys((ReturnCodes, StoreCodes, GiveCodes, CountCodes), codes),
            GrantAccess: courses,
            RevokeAccess: courses,
        },
        routes=fulfillment_routes(links, own.files, secrets, CodeImport(engine, vault), DownloadLog(engine)),
        upkeep=[secrets.seal_again, SealingOfClearCodes(engine, vault), SealingAgain(engine, vault)],
        resources=[courses.close],
        invariants=[Invariants(Delivery, broken)],
        gauges=GAUGES,
        attention=ATTENTION,
        status_records={Delivery: last_record},
    )
