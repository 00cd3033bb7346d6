"""Who is in a service's consumer group."""

from __future__ import annotations

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from shared.settings import KafkaSettings
from shared.shell.kafka.member_addresses import address_of
from shared.shell.kafka.membership import described
from shared.shell.kafka.refusals import unusable_kafka
from shared.shell.kafka.source import connection
from shared.shell.ports.bus import BusUnavailable


async def members_of(settings: KafkaSettings, group: str) -> list[str]:
    """The names of all members, those that died within the last seconds too. Raises BusUnavailable, KafkaRefused."""
    return sorted(name for name, _ in await _members(settings, group))


async def addresses_of(settings: KafkaSettings, group: str) -> dict[str, str]:
    """The URL of each member's HTTP API, by name; empty of one that does not say it. Raises BusUnavailable,
    KafkaRefused."""
    return dict(sorted(await _members(settings, group)))


async def _members(settings: KafkaSettings, group: str) -> list[tuple[str, str]]:
    admin = AIOKafkaAdminClient(**connection(settings))
    try:
        await admin.start()
        found = await described(admin, group)
        return [
            (name, address_of(metadata, host))
            for _, _, _, _, _, members, *_ in found
            for _, name, host, metadata, *_ in members
        ]
    except KafkaConnectionError as error:
        raise await unusable_kafka(settings, error) from error
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"group {group} cannot be read: {type(error).__name__}") from error
    finally:
        await admin.close()
