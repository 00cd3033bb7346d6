"""The supervisor of service processes, with a toy in a service's place."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from deploy.devstack.errors import PartFailed
from deploy.devstack.ports import choose
from deploy.devstack.processes import Services

TOY = "tests.integration.toy_worker"


async def test_a_killed_worker_comes_back_and_a_stop_leaves_nothing(tmp_path: Path) -> None:
    public = choose(["checkout"])["checkout"]
    environment = {"ORDERBUS_CHECKOUT__HTTP_PORT": str(public)}
    async with Services(environment, logs=tmp_path, workers=2, services=["checkout"], program=TOY) as services:
        first, second = services.worker("checkout", 0), services.worker("checkout", 1)
        assert first.port == public
        assert second.port != public
        before = first.pid

        first.kill()
        async with asyncio.timeout(10):
            while first.pid in (None, before):
                await asyncio.sleep(0.05)
            await services.until_ready()

        assert (first.restarts, second.restarts) == (1, 0)
        pids = [worker.pid for worker in services.workers if worker.pid]
        second.kill(signal.SIGSTOP)
    assert len(pids) == 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


async def test_a_worker_that_cannot_start_stops_the_start_with_its_own_words(tmp_path: Path) -> None:
    services = Services({}, logs=tmp_path, services=["checkout", "broken"], program=TOY)
    with pytest.raises(
        PartFailed, match=r"(?s)broken-0 ended while starting; see .*ORDERBUS_API_TOKEN: Field required"
    ):
        await services.__aenter__()
