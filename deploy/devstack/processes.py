"""Running the services as processes: started, watched, restarted after a crash, stopped in order.

async with Services(stack.environment(), logs=stack.logs, workers=2) as services:
    services.worker("payments", 0).kill()      # it is back a moment later
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import aiohttp

from deploy.client.local_stack import combined
from deploy.devstack import ports
from deploy.devstack.children import Child, Children, python_environment
from deploy.devstack.errors import PartFailed
from services.registry import SERVICES

PROJECT = Path(__file__).resolve().parents[2]
READY_WITHIN = 180.0
STOP_WITHIN = 15.0
"""Seconds for a worker to finish its batch and leave its group."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 30.0
"""Seconds between a crash and the restart; doubled each time."""
STEADY_AFTER = 10.0
"""Seconds of running after which a crash counts as the first again."""


class Worker:
    """One process of one service, restarted whenever it ends without being asked to."""

    def __init__(self, service: str, index: int, port: int, log: Path, program: str, project: Path = PROJECT) -> None:
        self.service = service
        self.index = index
        self.port = port
        self.log = log
        self.program = program
        self.project = project
        self.restarts = 0
        self.restarting = True
        """Set to False to see what happens while a crashed worker stays away."""
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return f"{self.service}-{self.index}"

    @property
    def url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """None while it is down."""
        return self._child.pid if self._child and self._child.running else None

    def kill(self, with_signal: int = signal.SIGKILL) -> None:
        """What a fault test does to it (SIGKILL, SIGSTOP, SIGCONT …)."""
        if self._child:
            self._child.kill(with_signal)

    async def start(self, children: Children, environment: Mapping[str, str]) -> None:
        await self._start(children, environment)
        self._watch = asyncio.create_task(self._keep_running(children, environment), name=f"watch {self.name}")

    async def _start(self, children: Children, environment: Mapping[str, str]) -> None:
        arguments = [self.service, "--worker", str(self.index), "--port", str(self.port)]
        command = [sys.executable, "-m", self.program, *arguments]
        self._child = await children.start(self.name, command, log=self.log, cwd=self.project, env=environment)

    async def _keep_running(self, children: Children, environment: Mapping[str, str]) -> None:
        pause = FIRST_PAUSE
        while self._child:
            started = time.monotonic()
            await self._child.wait()
            if time.monotonic() - started > STEADY_AFTER:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            while not self.restarting:
                await asyncio.sleep(0.1)
            self.restarts += 1
            await self._start(children, environment)

    async def until_ready(self, session: aiohttp.ClientSession) -> None:
        """Raises PartFailed with the end of its log when it crashes before it was ever ready, or takes too long."""
        deadline = time.monotonic() + READY_WITHIN
        while not await self.ready(session):
            if self.restarts and self._child:
                raise PartFailed(f"{self.name} ended while starting; see {self.log}:\n{self._child.last_words()}")
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} was not ready within {READY_WITHIN:.0f} s; see {self.log}.")
            await asyncio.sleep(0.05)

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/ready", timeout=aiohttp.ClientTimeout(5)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def stop(self) -> None:
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._child:
            self._child.kill(signal.SIGCONT)  # one that a fault test has frozen could not end
            await self._child.stop(STOP_WITHIN)


class Services:
    """`workers` processes of every service. Worker 0 has the service's public port, the others any free one. `readers`:
    processes that are started last, and not waited for.

    Give `children` (such as `stack.children`) to share their guardian; without, one of its own is started.
    `project`: the folder whose code runs, when it is not this one.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        logs: Path,
        workers: int = 1,
        services: Sequence[str] = SERVICES,
        readers: Sequence[str] = (),
        children: Children | None = None,
        program: str = "deploy.worker",
        project: Path = PROJECT,
    ) -> None:
        self.environment = combined(python_environment(), environment)
        self._children = children
        self._cleanup = AsyncExitStack()
        extra = ports.choose(f"{name}-{index}" for name in services for index in range(1, workers))

        def process(name: str, index: int) -> Worker:
            port = extra[f"{name}-{index}"] if index else self._public_port(name)
            return Worker(name, index, port=port, log=logs / f"{name}-{index}.log", program=program, project=project)

        self.workers = [process(name, index) for name in services for index in range(workers)]
        self.readers = [process(name, 0) for name in readers]

    def _public_port(self, service: str) -> int:
        configured = int(self.environment.get(f"ORDERBUS_{service.upper()}__HTTP_PORT", "0"))
        return configured or ports.choose([service])[service]

    def worker(self, service: str, index: int = 0) -> Worker:
        return next(worker for worker in self.workers if (worker.service, worker.index) == (service, index))

    async def __aenter__(self) -> Self:
        """Start all at once and wait until all are ready. Raises PartFailed."""
        async with AsyncExitStack() as cleanup:
            children = self._children
            if children is None:
                children = await cleanup.enter_async_context(Children())
            cleanup.push_async_callback(self._stop)
            self._children = children
            async with aiohttp.ClientSession() as session:
                await asyncio.gather(*(worker.start(children, self.environment) for worker in self.workers))
                await asyncio.gather(*(worker.until_ready(session) for worker in self.workers))
                await asyncio.gather(*(reader.start(children, self.environment) for reader in self.readers))
            self._cleanup = cleanup.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

    async def switch(self, worker: Worker, project: Path) -> None:
        """Stop a worker in good order and start it with the code of another folder; returns when it is ready."""
        assert self._children is not None
        await worker.stop()
        worker.project, worker.restarts = project, 0
        async with aiohttp.ClientSession() as session:
            await worker.start(self._children, self.environment)
            await worker.until_ready(session)

    async def until_ready(self) -> None:
        """Wait until every worker that fell is back."""
        async with aiohttp.ClientSession() as session:
            while not all([await worker.ready(session) for worker in self.workers]):
                await asyncio.sleep(0.1)

    async def _stop(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in (*self.workers, *self.readers)))
