"""The same with confluent-kafka (librdkafka), as other languages' clients work, too.

pip install confluent-kafka
eval "$(orderbus env)"
python examples/storefront/shop_confluent.py
"""

import json
import os
import sys
import time
from datetime import UTC, datetime

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from shop import CHECKOUTS, ENDS, EVENTS, STORE, uuid7

PRODUCER = {
    "bootstrap.servers": os.environ["KAFKA"],
    "acks": "all",
    "enable.idempotence": True,
    # librdkafka would choose a partition by CRC32, Java's client, aiokafka and orderbus by murmur2. An order's messages
    # must be on one partition, whichever program sends them.
    "partitioner": "murmur2_random",
}
CONSUMER = {"bootstrap.servers": os.environ["KAFKA"], "group.id": "unused", "enable.auto.commit": False}


def publish(producer: Producer, type: str, order: str, body: dict, message_id: str) -> None:
    """Returns when Kafka has it. Raises KafkaException: then send the same `message_id` again."""
    failed: list[KafkaError] = []
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
    producer.produce(
        CHECKOUTS,
        json.dumps(body).encode(),
        order.encode(),
        headers=[(name, value.encode()) for name, value in headers.items()],
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    producer.flush()
    if failed:
        raise KafkaException(failed[0])


def from_now_on() -> Consumer:
    """Reads the events that come from now on, without a group: each process of a storefront reads all of them."""
    consumer = Consumer(CONSUMER)
    partitions = consumer.list_topics(EVENTS, timeout=30).topics[EVENTS].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(EVENTS, number), timeout=30)[1] for number in partitions]
    consumer.assign(
        [TopicPartition(EVENTS, number, end or OFFSET_END) for number, end in zip(partitions, ends, strict=True)]
    )
    return consumer


def main() -> int:
    producer, consumer, order = Producer(PRODUCER), from_now_on(), uuid7()
    publish(producer, "checkout.opened", order, {"store": STORE, "currency": "EUR", "country": "DE"}, uuid7())
    body = {
        "store": STORE,
        "customer": {"name": "Grace Hopper", "email": "grace@customers.example"},
        "items": [{"sku": "atlas", "quantity": 1, "unit_price": 1900, "tax": 133, "tax_rate": "7"}],
        "currency": "EUR",
        "subtotal": 1900,
        "tax": 133,
        "total": 2033,
        "purchased": 2033,
        "taxes": [{"rate": "7", "country": "DE", "amount": 133}],
        "payment": {"payment_method": "pm_card_visa"},
    }
    publish(producer, "checkout.submitted", order, body, uuid7())
    print(f"order {order}")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        record = consumer.poll(1.0)
        if record is None or record.error() or (record.key() or b"").decode() != order:
            continue
        type = dict(record.headers() or [])["ce_type"].decode()
        print(type)
        if type in ENDS or type in ("checkout.refused", "order.payment_declined"):
            consumer.close()
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
