"""Whether topics keep their records for as long as the services count on: neither too short, for what was down must
find them again, nor longer than the inbox knows their ids, for they would be handled twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts import TOPICS
from shared.settings import KafkaSettings

SEGMENT = timedelta(days=1)
"""How long records are written to one segment of an event or command topic: an old one is kept so much longer than the
retention says. The inbox keeps ids two days longer: this one, and one for clocks that differ."""
SHORTEST = timedelta(days=1)
_ALTER = "`kafka-configs.sh --alter --entity-type topics --entity-name TOPIC --add-config {}`"
_NAME = "ORDERBUS_KAFKA__RETENTION"


@dataclass(frozen=True, slots=True)
class RetentionFindings:
    """Sentences with the way out, empty where all is well."""

    wrong: str = ""
    """Records are lost, or handled twice."""
    short: str = ""
    """Records are gone earlier than the setting says. A rollout that changes it passes through this."""


async def topic_settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Of the topics whose settings this user may read (`DescribeConfigs`)."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for response in (await admin.describe_configs(resources) if resources else [])
        for error, _, _, name, entries in response.resources
        if not error
    }


def retention_findings(settings: KafkaSettings, configs: Mapping[str, Mapping[str, str]]) -> RetentionFindings:
    compacted = {topic.name for topic in TOPICS if topic.compacted}
    kept = {name: config for name, config in configs.items() if name not in compacted}
    wrong = [
        _policies("compact", configs, compacted),
        _policies("delete", configs, kept),
        _too_long(settings, kept),
        _too_short(SHORTEST, "orderbus needs at least a day", settings, kept),
    ]
    short = _too_short(settings.retention, f"{_NAME} is {_days(settings.retention)}", settings, kept)
    return RetentionFindings(" ".join(filter(None, wrong)), "" if wrong[-1] else short)


def _policies(policy: str, configs: Mapping[str, Mapping[str, str]], names: Iterable[str]) -> str:
    wrong = [name for name in names if configs.get(name, {}).get("cleanup.policy", policy) != policy]
    way = _ALTER.format(f"cleanup.policy={policy}")
    return f"{_topics(wrong)}: the policy must be {policy}, or records are lost. Change it: {way}." if wrong else ""


def _too_long(settings: KafkaSettings, configs: Mapping[str, Mapping[str, str]]) -> str:
    """A record is there until the youngest of its segment is as old as the retention."""
    known = settings.retention + SEGMENT
    lives = {name: _lifetime(config) for name, config in configs.items()}
    wrong = [name for name, life in lives.items() if life is None or life > known]
    if not wrong:
        return ""
    longest = None if any(lives[name] is None for name in wrong) else max(filter(None, (lives[n] for n in wrong)))
    lasts = "for ever" if longest is None else f"for up to {_days(longest)} (retention.ms and segment.ms)"
    setting = (
        f"Set {_NAME}=P{math.ceil((longest - SEGMENT) / SEGMENT)}D, or change them: " if longest else "Change them: "
    )
    return (
        f"{_topics(wrong)}: records are kept {lasts}, but their ids for {_days(known)} only. Read again, as after a "
        f"restore, they would be handled twice. {setting}{_altered(settings)}."
    )


def _too_short(needed: timedelta, why: str, settings: KafkaSettings, configs: Mapping[str, Mapping[str, str]]) -> str:
    wrong = [name for name, config in configs.items() if _shortest(config) < needed]
    if not wrong:
        return ""
    return (
        f"{_topics(wrong)}: records may be dropped too early ({why}), and a service that is down for longer loses "
        f"them. Change them: {_altered(settings)}."
    )


def _lifetime(config: Mapping[str, str]) -> timedelta | None:
    """None: without end, or as good as."""
    retention, segment = (int(config.get(name, 0)) for name in ("retention.ms", "segment.ms"))
    whole = retention + segment
    return None if retention < 0 or whole > timedelta(days=36_500) / timedelta(milliseconds=1) else _span(whole)


def _shortest(config: Mapping[str, str]) -> timedelta:
    """With a limit in bytes there is no shortest time."""
    if int(config.get("retention.bytes", -1)) >= 0:
        return timedelta()
    retention = int(config.get("retention.ms", -1))
    return timedelta.max if retention < 0 or retention > 1e14 else _span(retention)


def _span(milliseconds: int) -> timedelta:
    return timedelta(milliseconds=milliseconds)


def _altered(settings: KafkaSettings) -> str:
    retention, segment = (str(span // timedelta(milliseconds=1)) for span in (settings.retention, SEGMENT))
    return _ALTER.format(f"retention.ms={retention},segment.ms={segment},retention.bytes=-1")


def _topics(names: Sequence[str]) -> str:
    return f"topic{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}"


def _days(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:g} day{'s' if days != 1 else ''}"
