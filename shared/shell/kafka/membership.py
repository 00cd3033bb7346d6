"""A static member that comes back with other topics.

Kafka hands a static member that returns the partitions that it had before, whatever it subscribes to by then. With a
topic too many, aiokafka ends; a topic that is new stays unread. So a worker that reads other topics than the group
knows first has its membership ended; it then joins as a new member, and the group shares its partitions out again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.group import LeaveGroupRequest

from shared.shell.ports.bus import BusUnavailable

SECONDS = 10.0
"""For the coordinator to be there."""
log = structlog.get_logger(__name__)


async def end_other_membership(admin: AIOKafkaAdminClient, group: str, member: str, topics: Collection[str]) -> None:
    """Take `member` out of the group if it is there with other topics. Raises BusUnavailable."""
    try:
        await admin.start()
        with contextlib.suppress(TimeoutError):  # joining waits for the coordinator, too
            async with asyncio.timeout(SECONDS):
                while not await _ended(admin, group, member, set(topics)):
                    await asyncio.sleep(0.2)
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"membership in {group} cannot be read: {type(error).__name__}") from error
    finally:
        await admin.close()


async def _ended(admin: AIOKafkaAdminClient, group: str, member: str, topics: set[str]) -> bool:
    """False where the group's coordinator is not there yet, as in a new cluster."""
    try:
        coordinator = await admin.find_coordinator(group)
        for id, subscribed in await _memberships(admin, coordinator, group, member):
            if subscribed != topics:
                answer = await admin._send_request_to_node(coordinator, LeaveGroupRequest(group, id))
                _raise_for(answer.error_code)
                log.info("topics changed, joining the group as a new member", group=group, member=member)
    except KafkaError as error:
        if error.retriable:
            return False
        raise
    return True


async def _memberships(
    admin: AIOKafkaAdminClient, coordinator: int, group: str, member: str
) -> list[tuple[str, set[str]]]:
    """Member id and topics of what is there under this name. While a group is being rebalanced nothing is known of its
    members, and each that joins then is asked for its topics."""
    (answer,) = await admin.describe_consumer_groups([group], coordinator)
    for code, *_ in answer.groups:
        _raise_for(code)
    return [
        (id, set(ConsumerProtocol.METADATA.decode(metadata).subscription))
        for _, _, _, _, _, members, *_ in answer.groups
        for id, client, _, metadata, _ in members
        if client == member and metadata
    ]


def _raise_for(code: int) -> None:
    error = for_code(code)
    if code and error is not UnknownMemberIdError:
        raise error()
