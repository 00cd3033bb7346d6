"""Names that are given as arguments, looked up before anything is done: a wrong one is said by its name.

What cannot be looked up (the client lacks the permission, the service is away) is left to the service that acts.
"""

from __future__ import annotations

from typing import Any

from deploy.cli.errors import UsageError
from deploy.client.http import ApiClient, ClientError, Problem, store_path


async def known_store(api: ApiClient, store: str) -> None:
    """Raises UsageError for a store that checkout does not know."""
    if await _is_missing(api, "checkout", store_path(store)):
        raise UsageError(f"There is no store {store}.")


async def known_endpoint(api: ApiClient, store: str, endpoint: str) -> None:
    """Raises UsageError for a webhook endpoint that the store does not have."""
    answer = await _asked(api, "notifications", store_path(store, "webhooks"))
    if answer is None:
        return
    there = [one["endpoint"] for one in answer["webhooks"]]
    if endpoint not in there:
        has = f"It has {', '.join(there)}." if there else "It has none."
        raise UsageError(f"{store} has no webhook endpoint {endpoint}. {has}")


async def key_of(api: ApiClient, name: str) -> str:
    """The id of an order, by its number or id; the same name if it is of something else. Raises UsageError if there is
    nothing of that name."""
    try:
        return str((await api.order(name))["key"])
    except Problem as problem:
        if problem.status == 404:
            raise UsageError(f"There is no order {name}, and nothing else waits under that key.") from None
    except ClientError:
        pass
    return name


async def without_product(api: ApiClient, store: str, pool: str) -> bool:
    """Whether it is known that no product uses the pool."""
    answer = await _asked(api, "fulfillment", store_path(store, "pools", pool))
    return answer is not None and answer.get("products") == 0


async def _is_missing(api: ApiClient, service: str, path: str) -> bool:
    try:
        return await api.part(service, path) is None
    except ClientError:
        return False


async def _asked(api: ApiClient, service: str, path: str) -> dict[str, Any] | None:
    try:
        return await api.part(service, path)
    except ClientError:
        return None
