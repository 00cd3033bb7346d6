"""A connection breaks at the moment when aiokafka writes to it."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from shared.settings import KafkaSettings
from shared.shell.event_loop import new_loop
from shared.shell.kafka.source import close_client, connection


async def broken_connection() -> AIOKafkaConnection:
    """Open, as far as aiokafka knows."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    broken = AIOKafkaConnection(host, port)
    broken._reader, broken._writer = await asyncio.open_connection(host, port)
    broken._read_task = asyncio.create_task(asyncio.sleep(60))
    broken._versions = {MetadataRequest.API_KEY: (0, 1)}
    broken._writer.transport.abort()
    await asyncio.sleep(0.05)
    server.close()
    return broken


@pytest.mark.skipif(new_loop is None, reason="uvloop is not installed")
def test_it_is_an_error_of_the_connection_and_closes_it() -> None:
    async def scenario() -> None:
        connection(KafkaSettings(bootstrap_servers="127.0.0.1:1"))  # as every client begins
        broken = await broken_connection()
        with pytest.raises(KafkaConnectionError, match="broken"):
            broken.send(MetadataRequest([]))
        assert not broken.connected()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(scenario())


async def test_a_client_that_cannot_be_closed_ends_nothing() -> None:
    class Client:
        async def stop(self) -> None:
            raise RuntimeError("the handler is closed")

    await close_client(Client())
