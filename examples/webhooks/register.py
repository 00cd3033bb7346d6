"""Register a webhook endpoint: its secret is shown once, here.

python examples/webhooks/register.py URL [STORE]
"""

import asyncio
import os
import sys
import uuid

from aiohttp import ClientSession

EVENTS = ["order.created", "order.received", "order.completed", "order.updated", "order.refunded"]


async def main(url: str, store: str = "lighthouse") -> None:
    # The key names the request: repeated under the same one, it registers nothing twice.
    headers = {"Authorization": f"Bearer {os.environ['ORDERBUS_API_TOKEN']}", "Idempotency-Key": str(uuid.uuid4())}
    address = f"{os.environ['NOTIFICATIONS_URL']}/stores/{store}/webhooks"
    async with (
        ClientSession() as session,
        session.post(address, headers=headers, json={"url": url, "events": EVENTS}) as answer,
    ):
        found = await answer.json()
        if answer.status >= 400:
            sys.exit(f"{answer.status}: {found}")
        print(f"export WEBHOOK_SECRET={found['secret']}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
