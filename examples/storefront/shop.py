"""A checkout page's back end, with aiokafka: publishes what a customer does, and reads the answers.

eval "$(orderbus env)"
python examples/storefront/shop.py              # buys an atlas
python examples/storefront/shop.py --quantity 0 # is refused
"""

import argparse
import asyncio
import json
import os
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

CHECKOUTS, EVENTS = "storefront.checkouts.v1", "orders.events.v1"
STORE = "lighthouse"
ENDS = {"order.completed", "order.failed", "order.cancelled", "order.expired"}
TRIES = 10


def uuid7() -> str:
    """A UUID of version 7 (RFC 9562), which begins with the time. Python 3.14 has it as `uuid.uuid7`."""
    bits = int(time.time() * 1000) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(UUID(int=bits))


def headers_of(type: str, message_id: str) -> list[tuple[str, bytes]]:
    """The attributes of a message."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": message_id,
        "ce_type": type,
        "ce_source": "my-storefront",
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_store": STORE,
        "ce_actor": "customer",
    }
    return [(name, value.encode()) for name, value in headers.items()]


def opened() -> dict:
    """`checkout.opened`."""
    return {"store": STORE, "currency": "EUR", "country": "DE"}


def submitted(sku: str, quantity: int, price: int, card: str) -> dict:
    """`checkout.submitted`. Amounts are in minor units: 1900 is 19.00 EUR."""
    subtotal = quantity * price
    tax = (subtotal * 7 + 50) // 100
    return {
        "store": STORE,
        "customer": {"id": "ada", "name": "Ada Lovelace", "email": "ada@customers.example"},
        "items": [{"sku": sku, "quantity": quantity, "unit_price": price, "tax": tax, "tax_rate": "7"}],
        "currency": "EUR",
        "subtotal": subtotal,
        "tax": tax,
        "total": subtotal + tax,
        "purchased": subtotal + tax,
        "taxes": [{"rate": "7", "country": "DE", "amount": tax}],
        "payment": {"payment_method": card},
    }


class Storefront:
    """Messages go out as CloudEvents in Kafka's binary mode: attributes in headers, the body as JSON in the value."""

    def __init__(self, servers: str) -> None:
        # acks="all": Kafka has the record on several disks before `send_and_wait` returns.
        self._producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)

    async def __aenter__(self) -> "Storefront":
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def publish(self, type: str, order: str, body: dict, message_id: str) -> None:
        """The same `message_id` again is the same message again: it takes effect once, so what may have been lost is
        simply sent again."""
        headers = headers_of(type, message_id)
        for attempt in range(1, TRIES + 1):
            try:
                # The key is the order's id: it keeps an order's messages on one partition, and so in order.
                await self._producer.send_and_wait(
                    CHECKOUTS, json.dumps(body).encode(), order.encode(), headers=headers
                )
                return
            except KafkaError:
                if attempt == TRIES:
                    raise
                await asyncio.sleep(0.5 * attempt)


async def buy(shop: Storefront, sku: str, quantity: int, price: int, card: str) -> str:
    """The new order's id."""
    order = uuid7()
    await shop.publish("checkout.opened", order, opened(), uuid7())
    await shop.publish("checkout.submitted", order, submitted(sku, quantity, price, card), uuid7())
    return order


async def pay_again(shop: Storefront, order: str, declined: dict, card: str) -> None:
    """Once the customer may: a try before `retry_after` is refused with `too_many_attempts`. A new try is a new
    message, with an id of its own."""
    if declined.get("retry_after"):  # a page would show when, and a form from then on
        wait = datetime.fromisoformat(declined["retry_after"]) - datetime.now(UTC)
        await asyncio.sleep(max(wait.total_seconds(), 0))
    await shop.publish("checkout.payment_retried", order, {"payment": {"payment_method": card}}, uuid7())


async def answers(consumer: AIOKafkaConsumer, shop: Storefront, order: str, other_card: str) -> None:
    """Print what happens to an order until it ends, or is refused. `other_card` pays after a decline."""
    async for record in consumer:
        if record.key.decode() != order:
            continue
        type = dict(record.headers)["ce_type"].decode()
        body = json.loads(record.value)
        print(type)
        if type == "checkout.refused":
            print(f"  {body['code']}: {body['text']}")
            for problem in body.get("problems", []):  # everything that is wrong, at once
                print(f"  {problem['field']}: {problem['text']}")
            return
        if type == "order.payment_declined":
            print(f"  {body['text']}")  # for the customer
            if not other_card or body.get("tries_left") == 0:
                return
            await pay_again(shop, order, body, other_card)
            other_card = ""
        if type == "order.payment_action_required":
            print(f"  confirm it at {body['url']}")  # lead the customer there: their bank asks (3-D Secure)
        if type == "order.items_delivered":
            for item in body["items"]:  # for the buyer only: links and codes are secret
                how = item["instructions"]
                print(
                    f"  {item['product']}: {how.get('link') or how.get('code') or how.get('tracking') or how['kind']}"
                )
        if type in ENDS:
            return


async def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quantity", type=int, default=1)
    arguments.add_argument("--card", default="pm_card_visa")
    arguments.add_argument("--other-card", default="", help="pays once the first one was declined")
    given = arguments.parse_args()
    servers = os.environ["KAFKA"]
    # A real storefront reads the events in one task for all its customers, and wakes the page that waits.
    consumer = AIOKafkaConsumer(EVENTS, bootstrap_servers=servers, auto_offset_reset="latest")
    await consumer.start()
    try:
        await consumer.seek_to_end()  # from now on: before the order is published
        async with Storefront(servers) as shop:
            order = await buy(shop, "atlas", given.quantity, 1900, given.card)
            print(f"order {order}")
            with suppress(TimeoutError):
                await asyncio.wait_for(answers(consumer, shop, order, given.other_card), 60)
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main())
