"""What staff do about stock and deliveries, over HTTP and on PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from tests.integration.test_fulfillment_service import Running, open_shop, running  # noqa: F401  (the fixture)
from tests.unit.fulfillment.examples import PAID, line, placed

WHY = {"reason": "As agreed."}


async def test_stock_is_counted_and_its_history_told_page_by_page(running: Running) -> None:  # noqa: F811
    await open_shop(running)
    product = {"action": {"kind": "shipment"}, "track_stock": True, "low_stock": 2}
    await running.ask("PUT", "/stores/acme/products/poster", product)
    await running.receive("o-1", placed(line("1", "poster", shippable=True)))
    await running.until("stock.low", "stock.reserved")

    status, body = await running.ask("PUT", "/stores/acme/stock/poster", {"on_hand": 0, "reason": "Counted."})
    assert (status, body["code"]) == (409, "reserved")
    for units in (4, -1):
        adjusted = {"units": units, "reason": "Counted."}
        assert (await running.ask("POST", "/stores/acme/stock/poster/adjust", adjusted))[0] == 202

    _, first = await running.ask("GET", "/stores/acme/stock/poster/history?limit=2")
    assert [(row["why"], row["units"], row["on_hand"]) for row in first["movements"]] == [
        ("adjusted", -1, 5),
        ("adjusted", 4, 6),
    ]
    _, rest = await running.ask("GET", f"/stores/acme/stock/poster/history?limit=2&before={first['next']}")
    assert [row["why"] for row in rest["movements"]] == ["received"]
    assert rest["next"] is None
    assert (await running.ask("GET", "/stores/acme/stock?low=1"))[1]["stock"] == []
    assert [row["sku"] for row in (await running.ask("GET", "/stores/acme/stock"))[1]["stock"]] == ["poster"]


async def act(service: Running, verb: str, **body: Any) -> tuple[int, Any]:
    return await service.ask("POST", f"/orders/o-1/{verb}", body | WHY)


async def test_a_held_order_is_delivered_by_hand_returned_and_refunded(running: Running) -> None:  # noqa: F811
    await open_shop(running)
    await running.receive("o-1", placed(line("1", "poster", 2, shippable=True), line("2", "ebook")))
    assert (await act(running, "hold"))[0] == 202
    await running.receive("o-1", PAID)
    status, refused = await act(running, "mark-delivered")
    assert (status, refused["code"]) == (409, "held")
    async with running.engine.connect() as connection:
        assert (await connection.execute(sa.text("select held, tasks from deliveries"))).one() == (1, 0)

    await act(running, "release")
    await running.until("item.waiting", "item.delivered", "delivery.noted", "delivery.noted")
    ship = {"carrier": "DHL", "tracking": "T1", "quantities": {"1": 1}}
    assert (await running.ask("POST", "/orders/o-1/ship", ship))[0] == 202
    (part,) = await running.until("item.progressed")
    assert part["instructions"]["link"] == "https://www.dhl.com/global-en/home/tracking.html?tracking-id=T1"
    await act(running, "parcel-delivered", parcel="1")
    await act(running, "mark-delivered", items=["1"], note="Handed over.", notify=False)
    (delivered,) = await running.until("item.delivered")
    assert (delivered["quiet"], delivered["instructions"]["note"]) == (True, "Handed over.")
    await act(running, "resend")
    sent = await running.until("delivery.resent", "delivery.resent")
    assert sorted(each["items"][0]["item"] for each in sent) == ["1", "2"]

    await act(running, "return", items=[{"item": "1"}], refund=True)
    back, *_ = [body for body in await running.until("item.returned", "stock.released") if "refund" in body]
    (asked,) = [dict(json.loads(row.headers)) for row in running.sink.rows if row.topic == "payments.commands.v1"]
    assert asked["ce_id"] == back["refund"]
    assert (await running.ask("GET", "/stores/acme/stock/poster"))[1]["on_hand"] == 2
