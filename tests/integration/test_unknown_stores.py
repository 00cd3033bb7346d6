"""Webhook endpoints by HTTP, of stores that there are and of one that there is not."""

from __future__ import annotations

import asyncio
from typing import Any

from services.notifications.domain.endpoint import OtherStores
from services.notifications.storage import is_another
from shared.contracts.examples import EXAMPLES
from shared.contracts.store_status import StoreStatusRecord
from tests.integration.test_notifications_service import Running, running
from tests.unit.notifications.examples import STORE

__all__ = ["running"]
SINCE = "2026-01-01T00:00:00Z"


async def test_a_store_that_does_not_exist_gets_no_webhook(running: Running) -> None:
    new = {"url": running.receiver.url, "events": ["order.received"]}
    assert (await running.ask("POST", "/stores/before/webhooks", new, "one"))[0] == 201, "checkout told of none yet"
    told: Any = EXAMPLES[StoreStatusRecord]
    await running.hear(STORE.id, told)

    status, refused = await running.ask("POST", "/stores/nowhere/webhooks", new, "two")
    assert (status, refused["code"]) == (404, "unknown_store")
    assert (await running.ask("GET", "/stores/nowhere/webhooks"))[1] == {"webhooks": []}
    for path in ("lost/mails/resend", "lost/webhooks/replay"):
        status, refused = await running.ask("POST", f"/stores/nowhere/{path}", {"since": SINCE}, path)
        assert (status, refused["code"]) == (404, "unknown_store")
        assert (await running.ask("POST", f"/stores/{STORE.id}/{path}", {"since": SINCE}, f"{path} 2"))[0] == 202
    for store, key in ((STORE.id, "three"), ("before", "four")):
        assert (await running.ask("POST", f"/stores/{store}/webhooks", new, key))[0] == 201


async def test_a_webhook_of_a_store_just_made_waits_for_checkout_to_tell_of_it(running: Running) -> None:
    told: Any = EXAMPLES[StoreStatusRecord]
    await running.hear("another", told)
    new = {"url": running.receiver.url, "events": ["order.received"]}
    asked = asyncio.create_task(running.ask("POST", f"/stores/{STORE.id}/webhooks", new, "one"))
    await asyncio.sleep(0.3)
    await running.hear(STORE.id, told)
    assert (await asked)[0] == 201


async def test_the_simulation_finds_other_stores_as_the_database_does(running: Running) -> None:
    told: Any = EXAMPLES[StoreStatusRecord]
    await running.hear("told", told)
    await running.ask(
        "POST", "/stores/told/webhooks", {"url": running.receiver.url, "events": ["order.received"]}, "one"
    )
    rows = [{"key": "told", "data": {"known": True}}, {"key": "other", "data": {"endpoints": []}}]
    for asked, another in (("told", False), ("nowhere", True)):
        question = OtherStores(asked)
        async with running.shell.store.begin() as tx:
            found = await tx.search(running.shell.registry.searches[OtherStores], [question])
        assert (question in found) is another is any(is_another(question, row) for row in rows)
