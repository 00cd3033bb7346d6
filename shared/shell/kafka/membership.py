"""A static member that comes back with other topics, or to more partitions.

Kafka hands a static member that returns the partitions that it had before, whatever it subscribes to and is there by
then. With a topic too many, aiokafka ends; a topic or a partition that is new stays unread. So a worker that reads
other topics than the group knows, or whose topics have partitions that no member has, first has its membership ended;
it then joins as a new member, and the group shares all partitions out again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

from shared.shell.kafka.tls import KafkaRefused
from shared.shell.ports.bus import BusUnavailable

SECONDS = 10.0
"""For the coordinator to be there."""
STABLE = "Stable"
log = structlog.get_logger(__name__)


async def end_other_membership(admin: AIOKafkaAdminClient, group: str, member: str, topics: Collection[str]) -> None:
    """Take `member` out of the group if it is there with other topics, or the group leaves partitions unread. Raises
    BusUnavailable, KafkaRefused."""
    try:
        await admin.start()
        with contextlib.suppress(TimeoutError):  # joining waits for the coordinator, too
            async with asyncio.timeout(SECONDS):
                while not await _ended(admin, group, member, set(topics)):
                    await asyncio.sleep(0.2)
    except GroupAuthorizationFailedError:
        raise _may_not_read(group) from None
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"membership in {group} cannot be read: {type(error).__name__}") from error
    finally:
        await admin.close()


async def read_by_no_member(admin: AIOKafkaAdminClient, group: str, topics: Collection[str]) -> set[TopicPartition]:
    """The partitions of these topics that the group has given to no member, although it has shared them out. Raises
    BusUnavailable."""
    try:
        async with asyncio.timeout(SECONDS):
            await admin.start()
            members = await _members(admin, await admin.find_coordinator(group), group)
            return await _without_member(admin, members, topics)
    except (KafkaError, OSError, TimeoutError) as error:
        raise BusUnavailable(f"group {group} cannot be read: {type(error).__name__}") from error
    finally:
        await admin.close()


@dataclass(frozen=True, slots=True)
class _Member:
    id: str
    name: str
    topics: set[str]
    assigned: set[TopicPartition]


async def _ended(admin: AIOKafkaAdminClient, group: str, member: str, topics: set[str]) -> bool:
    """False where the group's coordinator is not there yet, as in a new cluster."""
    try:
        coordinator = await admin.find_coordinator(group)
        members = await _members(admin, coordinator, group)
        unread = await _without_member(admin, members, topics)
        for one in members:
            if one.name == member and (one.topics != topics or unread):
                answer = await admin._send_request_to_node(coordinator, LeaveGroupRequest(group, one.id))
                _raise_for(answer.error_code)
                changed = "topics" if one.topics != topics else "partitions"
                log.info(f"{changed} changed, joining the group as a new member", group=group, member=member)
    except KafkaError as error:
        if error.retriable:
            return False
        raise
    return True


async def _members(admin: AIOKafkaAdminClient, coordinator: int, group: str) -> list[_Member]:
    """All of the group, once it has shared its partitions out. Until then nothing is known of them, and each that joins
    is asked for its topics."""
    return [
        _Member(id, name, set(ConsumerProtocol.METADATA.decode(metadata).subscription), _partitions(assignment))
        for _, _, state, _, _, members, *_ in await described(admin, group, coordinator)
        for id, name, _, metadata, assignment in members
        if state == STABLE and metadata
    ]


async def described(admin: AIOKafkaAdminClient, group: str, coordinator: int | None = None) -> Sequence[Sequence[Any]]:
    """The group, with the fields of Kafka's answer. Raises KafkaError, also while its coordinator is still loading its
    groups; KafkaRefused."""
    try:
        (answer,) = await admin.describe_consumer_groups([group], coordinator)
        for code, *_ in answer.groups:
            _raise_for(code)
    except GroupAuthorizationFailedError:
        raise _may_not_read(group) from None
    groups: Sequence[Sequence[Any]] = answer.groups
    return groups


def _may_not_read(group: str) -> KafkaRefused:
    return KafkaRefused(f"This user may not read the group {group}: grant read and describe on it.")


def _partitions(assignment: bytes) -> set[TopicPartition]:
    given = ConsumerProtocol.ASSIGNMENT.decode(assignment).assignment if assignment else []
    return {TopicPartition(topic, partition) for topic, partitions in given for partition in partitions}


async def _without_member(
    admin: AIOKafkaAdminClient, members: Sequence[_Member], topics: Collection[str]
) -> set[TopicPartition]:
    if not members:
        return set()
    there = {
        TopicPartition(topic["topic"], partition["partition"])
        for topic in await admin.describe_topics(list(topics))
        for partition in topic["partitions"]
    }
    return there - {place for member in members for place in member.assigned}


def _raise_for(code: int) -> None:
    error = for_code(code)
    if code and error is not UnknownMemberIdError:
        raise error()
