"""What `orderbus publish` warns of: stores and SKUs that checkout does not know, so that it refuses what names them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from deploy.client.http import ApiClient, ClientError, Problem, store_path
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted
from shared.core import Message
from shared.settings import Settings

WITHIN = 10.0
"""Seconds. The messages are published: this is only a hint."""
MOST = 100
"""SKUs that are asked about."""
WHERE = "docs/first-store.md shows how to define it"


async def unknown_names(settings: Settings, messages: Sequence[Message]) -> list[str]:
    """One sentence for each. Where checkout cannot be asked, one that says so."""
    stores = dict.fromkeys(it.store for it in messages if isinstance(it, CheckoutOpened | CheckoutSubmitted))
    submitted = [it for it in messages if isinstance(it, CheckoutSubmitted)]
    skus = list(dict.fromkeys((it.store, item.sku) for it in submitted for item in it.items))[:MOST]
    if not stores:
        return []
    try:
        async with asyncio.timeout(WITHIN), ApiClient.of(settings) as api:
            missing = [store for store in stores if not await _known(api, store_path(store))]
            lacking = [
                (store, sku)
                for store, sku in skus
                if store not in missing and not await _known(api, store_path(store, "skus", sku))
            ]
    except (ClientError, TimeoutError) as trouble:
        why = str(trouble) or "it does not answer in time."
        return [f"checkout could not be asked whether it knows the stores and SKUs: {why}"]
    return [
        *(f"checkout knows no store {store}, and refuses its checkouts (unknown_store): {WHERE}." for store in missing),
        *(
            f"store {store} has no SKU {sku}, so checkout refuses to sell it (unknown_sku): {WHERE}."
            for store, sku in lacking
        ),
    ]


async def _known(api: ApiClient, path: str) -> bool:
    try:
        await api.get("checkout", path)
    except Problem as problem:
        if problem.status == 404:
            return False
        raise
    return True
