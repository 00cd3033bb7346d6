"""Fulfillment, put together: what it consumes and emits, its tables, its gateways."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from services.fulfillment.access import access
from services.fulfillment.attention import ATTENTION
from services.fulfillment.domain import CORES
from services.fulfillment.domain.delivery import Delivery
from services.fulfillment.domain.file_operations import SignFile
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.operations import (
    CountCodes,
    GiveCodes,
    ReturnCodes,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.domain.rcon_operations import GRANTS, REVOCATIONS, CheckServer, told_before
from services.fulfillment.domain.status_record import last_record
from services.fulfillment.download_log import DownloadLog
from services.fulfillment.explanation import explain
from services.fulfillment.game_servers import ServerQueries
from services.fulfillment.gateways.clear_codes import SealingOfClearCodes
from services.fulfillment.gateways.code_claims import ForgettingClaims
from services.fulfillment.gateways.code_import import CodeImport
from services.fulfillment.gateways.code_vault import CodeVault, SealingAgain
from services.fulfillment.gateways.codes import Codes
from services.fulfillment.gateways.files.choice import files_of
from services.fulfillment.gateways.links import Links
from services.fulfillment.gateways.rcon import Rcon
from services.fulfillment.http import fulfillment_routes
from services.fulfillment.pool_gauges import GAUGES
from services.fulfillment.secrets import SealedSecrets
from services.fulfillment.settings import FulfillmentSettings
from services.fulfillment.staff_routes import STAFF_COMMANDS, STAFF_FACTS
from services.fulfillment.storage import ERASED, storage
from services.fulfillment.uploads import Uploads
from shared.contracts import checkout, fulfillment, payments
from shared.contracts.approval import OrderDeclined
from shared.contracts.checkout import OrderCancelled, OrderExpired, OrderPaid, OrderPlaced, OrderRefunded
from shared.contracts.codes import AddCodes, CodesImported, ConfigurePool, PoolLow, ProvideCode
from shared.contracts.connections import ConfigureCarrier, ConfigureDiscord, ConfigureServer, TestServer
from shared.contracts.erasure import OrderErased
from shared.contracts.fulfillment import (
    ConfigureExtras,
    ConfigureOffer,
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
    ReceiveStock,
    RetryDelivery,
    SettleDelivery,
    ShipOrder,
    StockRefused,
    StockReleased,
    StockReserved,
)
from shared.core import Message, Topic
from shared.setting_types import keys_in
from shared.shell.postgres.erasure import Erasing
from shared.shell.sealer import Sealer
from shared.shell.service import Invariants, Recall, Service

OF_CODES = (AddCodes, CodesImported, ConfigurePool, ProvideCode)

CONSUMES: Mapping[Topic, Collection[type[Message]]] = {
    checkout.ORDERS: [OrderPlaced, OrderPaid, OrderCancelled, OrderExpired, OrderDeclined, OrderRefunded, OrderErased],
    fulfillment.COMMANDS: [
        ConfigureProduct,
        ConfigureOffer,
        ConfigureExtras,
        ConfigureDiscord,
        ReceiveStock,
        *OF_CODES,
        DeliveryCodesArrived,
        ShipOrder,
        RetryDelivery,
        SettleDelivery,
        *(ConfigureServer, TestServer, ConfigureCarrier),
        *STAFF_COMMANDS,
    ],
}
EMITS: Mapping[Topic, Collection[type[Message]]] = {
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
        *STAFF_FACTS,
        PoolLow,
    ],
    payments.COMMANDS: [payments.RefundPayment],
    fulfillment.COMMANDS: [DeliveryCodesArrived, TestServer],
    fulfillment.STATUS: [DeliveryStatusRecord],
}


def fulfillment_service(settings: FulfillmentSettings, engine: AsyncEngine) -> Service:
    own = settings.fulfillment
    links = Links(own.link_secret.get_secret_value(), own.public_url or f"http://{own.http_host}:{own.http_port}")
    sealer = Sealer(keys_in(own.data_keys))
    secrets, vault = SealedSecrets(engine, sealer), CodeVault(sealer)
    codes = Codes(engine, own.pool_recheck, vault)
    rcon = Rcon(ServerQueries(engine), secrets, private=settings.webhooks_to_private_addresses)
    calls = access(settings, engine, secrets)
    erasing = Erasing(engine, ERASED, settings.kafka.retention)
    return Service(
        name="fulfillment",
        cores=CORES,
        consumes=CONSUMES,
        emits=EMITS,
        refusal=FulfillmentRefused,
        storage=storage,
        gateways={
            SignDownload: links,
            TakeCode: codes,
            SignFile: links,
            **dict.fromkeys((ReturnCodes, StoreCodes, GiveCodes, CountCodes), codes),
            **dict.fromkeys((*GRANTS, *REVOCATIONS, CheckServer), rcon),
            **calls.gateways,
        },
        routes=fulfillment_routes(
            links,
            secrets,
            CodeImport(engine, vault),
            Uploads(files_of(own), own.upload_bytes),
            DownloadLog(engine),
            calls.routes,
        ),
        upkeep=[
            secrets.seal_again,
            SealingOfClearCodes(engine, vault),
            SealingAgain(engine, vault),
            ForgettingClaims(engine),
            erasing.upkeep,
        ],
        tasks=[erasing.run],
        resources=calls.resources,
        invariants=[Invariants(Delivery, broken)],
        gauges=GAUGES,
        attention=ATTENTION,
        explain=explain,
        order_state=Delivery,
        status_records={Delivery: last_record},
        recalled=dict.fromkeys(GRANTS, (Recall(ItemDelivered, told_before),)),
    )
