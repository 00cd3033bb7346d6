"""Pages of carriers over HTTP, and the links of parcels. With fulfillment's worker on PostgreSQL."""

from __future__ import annotations

from tests.integration.test_fulfillment_service import Running, open_shop, running
from tests.unit.fulfillment.examples import PAID, line, placed

__all__ = ["running"]
PATH = "/stores/acme/carriers"
RIVER = {"carrier": "River Post", "page": "https://track.river.example/{tracking}"}


async def test_a_parcel_is_followed_on_the_page_that_the_store_has_set(running: Running) -> None:
    status, refused = await running.ask("PUT", PATH, RIVER | {"page": "http://me@{tracking}"})
    assert (status, refused["problems"][0]["field"]) == (400, "page")
    assert all(part in refused["problems"][0]["text"] for part in ("https://", "behind its host", "credentials"))
    assert (await running.ask("PUT", PATH, RIVER))[0] == 202

    await open_shop(running)
    await running.receive("o-1", placed(line("1", "poster")), PAID)
    parcel = {"carrier": "river post", "tracking": "../?x=1#"}
    assert (await running.ask("POST", "/orders/o-1/ship", parcel))[0] == 202
    (sent,) = await running.until("item.delivered")
    assert sent["instructions"]["link"] == "https://track.river.example/..%2F%3Fx%3D1%23"

    _, found = await running.ask("GET", PATH)
    assert found["carriers"] == [RIVER]
    assert {"carrier": "dhl", "page": "https://www.dhl.com/global-en/home/tracking.html?tracking-id={tracking}"} in (
        found["known"]
    )
    await running.ask("PUT", PATH, {"carrier": "RIVER POST"})
    assert (await running.ask("GET", PATH))[1]["carriers"] == []
    assert (await running.ask("GET", "/stores/other/carriers"))[1]["carriers"] == []
