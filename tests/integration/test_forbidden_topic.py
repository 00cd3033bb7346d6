"""A topic that the service's user may not write to holds up itself only, on a broker that asks for permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.admin import NewTopic
from aiokafka.protocol.admin import CreateAclsRequest

from deploy.client.storefront import KafkaUnreachable, Storefront
from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from shared.contracts.storefront import CHECKOUTS, CheckoutOpened
from shared.settings import KafkaSettings
from tests.integration.conftest import ShortLivedKafka
from tests.integration.test_relay_on_kafka import Place, place, until

__all__ = ["place"]
TOPIC, LITERAL = 2, 3
READ, WRITE, DESCRIBE = 3, 4, 8
DENY, ALLOW = 2, 3


class AskingKafka(ShortLivedKafka):
    """Everybody may do everything but what a topic's permissions say."""

    def _write_properties(self) -> None:
        super()._write_properties()
        with self.properties.open("a") as properties:
            properties.write("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n")
            properties.write("allow.everyone.if.no.acl.found=true\n")


@pytest_asyncio.fixture(scope="module")
async def kafka_servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = Path(tmp_path_factory.mktemp("asking"))
    async with Children() as children:
        broker = AskingKafka(folder / "data", folder, choose(("kafka", "kafka_controller")), children)
        await broker.start()
        yield broker.bootstrap_servers
        await broker.stop()


async def permit(place: Place, topic: str, operation: int, permission: int) -> None:
    request = CreateAclsRequest(TOPIC, topic, LITERAL, "User:*", "*", operation, permission)
    answer = await place.admin._send_to_controller(request)
    assert [code for code, _ in answer.creation_responses] == [0]


@pytest.mark.parametrize("visible", [True, False], ids=["may be described", "may not even be described"])
async def test_it_holds_up_itself_only(place: Place, visible: bool) -> None:
    fine, forbidden = await place.create("fine"), await place.create("forbidden")
    await permit(place, forbidden, READ, ALLOW)  # with one permission granted, all others are denied
    if visible:
        await permit(place, forbidden, DESCRIBE, ALLOW)
    async with place.relaying() as relay:
        await place.write((forbidden, "a", b"1"), *((fine, "a", b"%d" % n) for n in range(100)))
        await until(lambda: place.value("select count(*) = 1 from outbox"), seconds=8)
        assert relay.held_up.holds[forbidden].error == "TopicAuthorizationFailedError"
        await place.write((forbidden, "a", b"2"), (fine, "a", b"100"))
        await until(lambda: place.value("select count(*) = 2 from outbox"), seconds=3)

        await permit(place, forbidden, WRITE, ALLOW)
        await until(lambda: place.value("select count(*) = 0 from outbox"))
    assert list(dict.fromkeys((await place.bodies(forbidden))["a"])) == [b"1", b"2"]
    assert list(dict.fromkeys((await place.bodies(fine))["a"])) == [b"%d" % n for n in range(101)]


async def test_publishing_without_permission_says_which_is_missing(place: Place, kafka_servers: str) -> None:
    await place.admin.create_topics([NewTopic(CHECKOUTS.name, 1, 1)])
    await permit(place, CHECKOUTS.name, READ, ALLOW)  # with one permission granted, all others are denied
    async with Storefront(KafkaSettings(bootstrap_servers=kafka_servers)) as shop:
        with pytest.raises(KafkaUnreachable, match=f"may not write to {CHECKOUTS.name}: grant write"):
            await shop.publish(CheckoutOpened(store="s", currency="EUR"), "o-1")
