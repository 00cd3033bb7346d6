"""The topics of all services: made where they are missing, and compared with the settings where they are not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, TopicAuthorizationFailedError, for_code

from shared.contracts import TOPICS
from shared.core import Topic
from shared.errors import ReportedError
from shared.settings import KafkaSettings
from shared.shell.kafka.refusals import unusable_kafka
from shared.shell.kafka.source import connection
from shared.shell.kafka.topic_retention import SEGMENT, retention_findings, topic_settings
from shared.shell.ports.bus import BusUnavailable

MAX_RECORD = 2_000_000
"""Bytes. Our own are smaller; a dead letter is a foreign record with headers added."""
log = structlog.get_logger(__name__)


class WrongTopics(ReportedError):
    """Topics have another number of partitions than the settings say, or another retention. The text names them, and
    the way out."""

    exit_code = 2


def dead_letters(service: str) -> Topic:
    return Topic(f"{service}.dead-letter.v1", owner=service)


async def _always() -> None:
    pass


async def ensure_topics(
    settings: KafkaSettings,
    services: Sequence[str],
    allowed: Callable[[], Awaitable[None]] = _always,
    *,
    create: bool = True,
    dry_run: bool = False,
) -> list[str]:
    """Create the topics that are missing; returns their names. Those that exist are left as they are. `allowed` is
    called before, and raises where nothing may be created. Without `create`, missing topics are waited for. In a
    `dry_run` the brokers only say whether they would create them. Raises BusUnavailable; KafkaRefused; WrongTopics
    where one has another number of partitions than it would be created with, or a retention with which records are
    lost or handled twice."""
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        there = set(await admin.list_topics())
        topics = [*TOPICS, *(dead_letters(name) for name in services)]
        existing = [topic.name for topic in topics if topic.name in there]
        if wrong := wrong_partitions(settings, await admin.describe_topics(existing) if existing else []):
            raise WrongTopics(wrong)
        retention = retention_findings(settings, await topic_settings(admin, existing))
        if retention.wrong:
            raise WrongTopics(retention.wrong)
        if retention.short:
            log.warning("topics drop records early", problem=retention.short)
        await allowed()
        missing = [_new_topic(settings, topic) for topic in topics if topic.name not in there]
        if missing and not create:
            raise BusUnavailable(f"topic {missing[0].name} does not exist yet: the services' workers create it")
        if missing:
            response = await admin.create_topics(missing, timeout_ms=20_000, validate_only=dry_run)
            for name, code, *_ in response.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise BusUnavailable(f"topic {name} cannot be created: {for_code(code).__name__}{_rights(code)}")
        return [topic.name for topic in missing]
    except (KafkaError, OSError) as error:
        raise await unusable_kafka(settings, error) from error
    finally:
        await admin.close()


def _rights(code: int) -> str:
    """To a user who may not see it, a topic that is there looks missing."""
    if for_code(code) is not TopicAuthorizationFailedError:
        return ""
    return " (this user needs describe, describe-configs and write on it, and create where it is missing)"


def wrong_partitions(settings: KafkaSettings, described: Iterable[dict[str, Any]]) -> str:
    """Which of the topics have another number of partitions than the settings say, and what to do; empty if none.

    The messages of a key are in order within their partition. When there are more partitions, a key can get another
    one, and its next messages overtake those that still wait.
    """
    counts = {str(topic["topic"]): len(topic["partitions"]) for topic in described if not topic["error_code"]}
    wrong = [f"{name} has {count}" for name, count in sorted(counts.items()) if count != settings.partitions]
    if not wrong:
        return ""
    return (
        f"ORDERBUS_KAFKA__PARTITIONS is {settings.partitions}, but topic {', '.join(wrong)}. If they were created with "
        "that number, set it. If partitions were added, messages of an order can overtake each other: see "
        '"Change the number of partitions" in docs/operations.md.'
    )


def _new_topic(settings: KafkaSettings, topic: Topic) -> NewTopic:
    retention = str(int(settings.retention.total_seconds() * 1000))
    configs = {
        "max.message.bytes": str(MAX_RECORD),
        "min.insync.replicas": str(settings.in_sync()),
        "unclean.leader.election.enable": "false",
    }
    # Kafka deletes whole segments, by their youngest record: an old one lives on for as long as a segment lasts.
    expiring = {"retention.ms": retention, "segment.ms": str(int(SEGMENT.total_seconds() * 1000))}
    configs |= {"cleanup.policy": "compact"} if topic.compacted else expiring
    return NewTopic(topic.name, settings.partitions, settings.replication, topic_configs=configs)
