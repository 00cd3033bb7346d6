"""Examples of the messages in `shared/contracts/fulfillment.py`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.contracts import codes, connections, delivery_status, fulfillment
from shared.contracts.examples.order import COMMAND, FAILED_ATTEMPT, LINK, PAID
from shared.core import Message

EXAMPLES: tuple[Message, ...] = (
    fulfillment.ConfigureProduct(
        action=fulfillment.CourseAccess(url="https://courses.example/grants", enter="https://courses.example/enter"),
        track_stock=True,
        further=(fulfillment.Download(file="workbook.pdf"),),
    ),
    fulfillment.ConfigureOffer(name="Gold members", actions=(fulfillment.RedemptionCode(pool="gift-cards"),)),
    fulfillment.ConfigureExtras(name="House guide", actions=(fulfillment.Download(file="guide.pdf"),)),
    connections.ConfigureServer(
        name="Survival",
        game="minecraft",
        host="mc.northwind.example",
        port=25575,
        password="survival-rcon",  # noqa: S106  (a name)
    ),
    connections.TestServer(),
    connections.ConfigureDiscord(guild="613425648685547541", token="discord-bot"),  # noqa: S106  (the secret's name)
    connections.ConfigureCarrier(carrier="River Post", page="https://track.river.example/parcels/{tracking}?lang=en"),
    fulfillment.ReceiveStock(quantity=40),
    codes.AddCodes(codes=("NORTH-1A2B", "NORTH-3C4D")),
    codes.CodesImported(added=25_000, left=500),
    codes.ConfigurePool(name="Gift cards of 20 €", low_water=500),
    codes.ProvideCode(item="2", codes=("NORTH-5E6F",), reason="The pool is empty; bought at the publisher's."),
    fulfillment.ShipOrder(carrier="Royal Mail", tracking="RM123456785GB", items=("1",)),
    fulfillment.DeliveryCodesArrived(pool="gift-cards"),
    fulfillment.RetryDelivery(items=("2",), latest=True),
    fulfillment.SettleDelivery(item="2", outcome="delivered", reason="Ada is on the course's list of members."),
    fulfillment.StockReserved(),
    fulfillment.StockRefused(skus=("atlas",)),
    fulfillment.StockReleased(skus={"atlas": 2}),
    fulfillment.ItemDelivered(item="2", instructions=LINK, under_way=0, attempts=(FAILED_ATTEMPT,)),
    fulfillment.ItemProgressed(
        item="2", instructions=LINK, status="waiting", text="Waiting for a parcel.", under_way=0
    ),
    fulfillment.ItemWaiting(item="1", code="shipment", text="Waiting for a parcel.", under_way=1),
    fulfillment.ItemFailed(
        item="2",
        code="rejected",
        text="courses.example answered 422. It rejects the customer or the product. Find the reason there, then retry "
        "the order.",
        attempts=(FAILED_ATTEMPT,),
    ),
    fulfillment.ItemRetried(item="2"),
    fulfillment.ItemRevoked(item="2"),
    fulfillment.ItemRevocationFailed(item="2", code="gave_up", text="courses.example did not answer."),
    fulfillment.ItemSettled(item="2", outcome="delivered", reason="Ada is on the course's list of members."),
    codes.PoolLow(
        pool="gift-cards",
        name="Gift cards of 20 €",
        left=412,
        low_water=500,
        since=datetime(2026, 3, 3, 14, 5, tzinfo=UTC),
    ),
    delivery_status.DeliveryStatusRecord(
        store="northwind",
        stage="paid",
        revision=2,
        updated_at=PAID + timedelta(days=1),
        executions=(
            delivery_status.ExecutionState(
                execution="1",
                about="1",
                name="Field Atlas",
                quantity=2,
                kind="shipment",
                version=1,
                status="delivered",
                stock="taken",
                carrier="Royal Mail",
                tracking="RM123456785GB",
            ),
            delivery_status.ExecutionState(
                execution="1/2",
                about="1",
                name="Field Atlas",
                quantity=2,
                kind="course",
                version=1,
                status="failed",
                code="rejected",
                text="courses.example answered 422. Find the reason there, then retry the order.",
                attempts=(FAILED_ATTEMPT,),
            ),
        ),
    ),
    fulfillment.FulfillmentRefused(
        command="order.ship",
        command_id=COMMAND,
        code="nothing_to_ship",
        text="No item of this order is waiting for a parcel.",
    ),
)
