"""Topics that others made, or changed, are compared with what the services count on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from shared.settings import KafkaSettings
from shared.shell.kafka.topic_retention import RetentionFindings, retention_findings

DAY = 86_400_000
OURS = {"cleanup.policy": "delete", "retention.ms": str(7 * DAY), "segment.ms": str(DAY), "retention.bytes": "-1"}
EVENTS, STATUS = "orders.events.v1", "orders.status.v1"


def found(config: Mapping[str, str], topic: str = EVENTS, days: int = 7) -> RetentionFindings:
    settings = KafkaSettings(bootstrap_servers="kafka:9092", retention=timedelta(days=days))
    return retention_findings(settings, {topic: OURS | dict(config)})


@pytest.mark.parametrize(
    "config",
    [{}, {"segment.ms": str(DAY // 2)}, {"retention.ms": str(7 * DAY + DAY // 2), "segment.ms": str(DAY // 2)}],
    ids=["as we make them", "shorter segments", "a longer retention, as short segments allow it"],
)
def test_topics_that_are_as_counted_on(config: dict[str, str]) -> None:
    assert found(config) == RetentionFindings()


def test_a_compacted_topic_keeps_for_ever() -> None:
    assert found({"cleanup.policy": "compact", "retention.ms": "1"}, STATUS) == RetentionFindings()


@pytest.mark.parametrize(
    ("config", "lasts", "way"),
    [
        ({"retention.ms": str(30 * DAY)}, "for up to 31 days", "Set ORDERBUS_KAFKA__RETENTION=P30D, or change"),
        ({"segment.ms": str(7 * DAY)}, "for up to 14 days", "Set ORDERBUS_KAFKA__RETENTION=P13D, or change"),
        ({"retention.ms": "-1"}, "for ever", "twice. Change them"),
        ({"retention.ms": str(2**63 - 1)}, "for ever", "twice. Change them"),
    ],
)
def test_what_is_kept_longer_than_its_id_would_be_handled_twice(config: dict[str, str], lasts: str, way: str) -> None:
    said = found(config).wrong
    assert f"topic {EVENTS}: records are kept {lasts}" in said
    assert "their ids for 8 days only" in said
    assert way in said
    assert "--add-config retention.ms=604800000,segment.ms=86400000,retention.bytes=-1`" in said


def test_the_setting_that_it_names_is_enough() -> None:
    assert found({"segment.ms": str(7 * DAY)}, days=13).wrong == ""
    assert found({"segment.ms": str(7 * DAY)}, days=12).wrong != ""


@pytest.mark.parametrize(
    "config", [{"retention.ms": str(3 * DAY)}, {"retention.ms": str(DAY)}], ids=["three days", "a day"]
)
def test_less_than_the_setting_is_said_but_stops_nothing(config: dict[str, str]) -> None:
    """A new retention is set in the services first, then in the topics."""
    assert found(config).wrong == ""
    assert f"topic {EVENTS}: records may be dropped too early" in found(config).short
    assert "ORDERBUS_KAFKA__RETENTION is 7 days" in found(config).short


@pytest.mark.parametrize("config", [{"retention.ms": str(DAY - 1)}, {"retention.bytes": "1000000000"}])
def test_less_than_a_day_loses_messages(config: dict[str, str]) -> None:
    assert "orderbus needs at least a day" in found(config).wrong
    assert found(config).short == ""


@pytest.mark.parametrize(
    ("topic", "policy", "way"),
    [
        (EVENTS, "compact", "cleanup.policy=delete"),
        (EVENTS, "compact,delete", "cleanup.policy=delete"),
        (STATUS, "delete", "cleanup.policy=compact"),
        (STATUS, "compact,delete", "cleanup.policy=compact"),
    ],
)
def test_another_policy_loses_messages(topic: str, policy: str, way: str) -> None:
    said = found({"cleanup.policy": policy}, topic).wrong
    assert said.startswith(f"topic {topic}: the policy must be") and way in said


def test_all_topics_are_named_together() -> None:
    settings = KafkaSettings(bootstrap_servers="kafka:9092")
    other = OURS | {"retention.ms": "-1"}
    said = retention_findings(settings, {EVENTS: other, "payments.events.v1": other, "checkout.dead-letter.v1": OURS})
    assert said.wrong.startswith(f"topics {EVENTS}, payments.events.v1: records are kept for ever")
