"""What is no name of a host is said with the setting, and ends in no stack trace."""

from __future__ import annotations

import pytest

from deploy.client.storefront import Follower, NotLetIn
from shared.contracts.checkout import ORDERS
from shared.settings import KafkaSettings
from shared.shell.kafka.refusals import refusal, unreachable

HOSTS = ("a..b", "x" * 64 + ".example")


@pytest.mark.parametrize("host", HOSTS)
async def test_it_is_named(host: str) -> None:
    settings = KafkaSettings(bootstrap_servers=f"{host}:9092")
    said = f"ORDERBUS_KAFKA__BOOTSTRAP_SERVERS: {host!r} is no name of a host. Correct it."
    assert await refusal(settings) == said
    assert "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS" in await unreachable(settings, UnicodeError())


@pytest.mark.parametrize("host", HOSTS)
async def test_a_command_that_reads_kafka_says_it(host: str) -> None:
    with pytest.raises(NotLetIn, match="is no name of a host"):
        async with Follower(KafkaSettings(bootstrap_servers=f"{host}:9092"), [ORDERS]):
            pass
