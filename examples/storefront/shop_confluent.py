"""The same with confluent-kafka (librdkafka), as other languages' clients work, too.

pip install confluent-kafka
eval "$(orderbus env)"
python examples/storefront/shop_confluent.py
"""

import json
import os
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from shop import CHECKOUTS, ENDS, EVENTS, headers_of, opened, submitted, uuid7

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
    producer.produce(
        CHECKOUTS,
        json.dumps(body).encode(),
        order.encode(),
        headers=headers_of(type, message_id),
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
    consumer.assign([TopicPartition(EVENTS, number, end) for number, end in zip(partitions, ends, strict=True)])
    return consumer


def main() -> int:
    producer, consumer, order = Producer(PRODUCER), from_now_on(), uuid7()
    publish(producer, "checkout.opened", order, opened(), uuid7())
    publish(producer, "checkout.submitted", order, submitted("atlas", 1, 1900, "pm_card_visa"), uuid7())
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
