"""Everything orderbus needs, on this machine and for this user: Kafka, PostgreSQL, a Stripe sandbox, the outside world.

    async with Stack(data=Path("somewhere")) as stack:
        environment = stack.environment()       # ORDERBUS_* settings for every service

Nothing of it outlives the process that started it, however that process ends.
"""

import asyncio
import sys
import time
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, Self

from deploy.client.local_stack import default_folder
from deploy.devstack import data_folder
from deploy.devstack.children import Child, Children, python_environment
from deploy.devstack.errors import PartFailed, StackError
from deploy.devstack.kafka import Kafka, accepts
from deploy.devstack.ports import LOOPBACK
from deploy.devstack.postgres import Postgres
from services.registry import PROCESSES, SERVICES

STRIPE_CALLBACK = "/stripe/webhook"
"""Where payments takes Stripe's callbacks."""
READY_WITHIN = 30.0
PROJECT = Path(__file__).resolve().parents[2]


class Part(Protocol):
    """One piece of the stack. After `child.kill()` it may be started again."""

    child: Child | None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class PythonPart:
    """One of our own small servers, in a process of its own. Secrets go by environment, not by command line."""

    def __init__(
        self, name: str, children: Children, log: Path, port: int, arguments: list[str], environment: dict[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self.child: Child | None = None
        self._children = children
        self._port = port
        self._arguments = arguments
        self._environment = environment

    async def start(self) -> None:
        command = [sys.executable, "-m", *self._arguments]
        environment = python_environment() | self._environment
        self.child = await self._children.start(self.name, command, log=self.log, cwd=PROJECT, env=environment)
        deadline = time.monotonic() + READY_WITHIN
        while not await accepts(LOOPBACK, self._port):
            if not self.child.running or time.monotonic() > deadline:
                raise PartFailed(f"{self.name} did not start; see {self.log}:\n{self.child.last_words()}")
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self.child:
            await self.child.stop()


class Stack:
    """The embedded stack on one data folder, the user's own by default. `fresh` empties it first. `brokers`: as many as
    the folder has, 1 in a new one."""

    brokers: tuple[Kafka, ...]
    postgres: Postgres
    stripe: PythonPart
    outside: PythonPart
    children: Children

    def __init__(self, data: Path | None = None, fresh: bool = False, brokers: int | None = None) -> None:
        self.data = (data or default_folder()).expanduser().resolve()
        self.logs = self.data / "logs"
        self.seconds_to_ready = 0.0
        self._fresh = fresh
        self._wanted = brokers

    async def __aenter__(self) -> Self:
        """Raises StackError with one sentence that says what to do."""
        started = time.monotonic()
        async with AsyncExitStack() as cleanup:
            await asyncio.to_thread(data_folder.prepare, self.data)
            lock = await asyncio.to_thread(cleanup.enter_context, data_folder.locked(self.data))
            if self._fresh:
                await asyncio.to_thread(data_folder.empty, self.data)
            self._remembered = data_folder.remember(self.data, self._wanted)
            self.logs.mkdir(mode=0o700, exist_ok=True)
            self.children = await cleanup.enter_async_context(Children(keep_open=lock))
            self._lay_out()
            await together(part.start() for part in self.parts)
            self._cleanup = cleanup.pop_all()
        self.seconds_to_ready = time.monotonic() - started
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

    @property
    def ports(self) -> dict[str, int]:
        return self._remembered.ports

    @property
    def secrets(self) -> data_folder.Secrets:
        return self._remembered.secrets

    @property
    def parts(self) -> tuple[Part, ...]:
        return (*self.brokers, self.postgres, self.stripe, self.outside)

    @property
    def kafka(self) -> Kafka:
        """The first broker; it knows where all are."""
        return self.brokers[0]

    @property
    def outside_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['outside']}"

    @property
    def stripe_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ports['stripe']}"

    async def failed(self) -> Child:
        """Wait until a part ends by itself, and return it."""
        running = {asyncio.create_task(part.child.wait()): part.child for part in self.parts if part.child}
        try:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()
        return running[done.pop()]

    def environment(self) -> dict[str, str]:
        """The settings of all services, and `ORDERBUS_DEMO__*` for those who drive or watch them."""
        databases = {f"ORDERBUS_{name.upper()}__DATABASE_URL": self.postgres.url(name) for name in SERVICES}
        edges = {f"ORDERBUS_{name.upper()}__HTTP_PORT": str(self.ports[name]) for name in PROCESSES}
        owners = {name: f"http://{LOOPBACK}:{self.ports[name]}" for name in SERVICES if name != "staff"}
        return (
            databases
            | edges
            | {f"ORDERBUS_STAFF__{name.upper()}_URL": url for name, url in owners.items()}
            | {
                "ORDERBUS_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "ORDERBUS_KAFKA__REPLICATION": str(len(self.brokers)),
                "ORDERBUS_API_TOKEN": self.secrets.api_token,
                "ORDERBUS_ASSERTION_KEYS": self.secrets.assertion_keys,
                "ORDERBUS_FULFILLMENT__LINK_SECRET": self.secrets.link_secret,
                "ORDERBUS_FULFILLMENT__FILES": str(self.data / "files"),
                "ORDERBUS_FULFILLMENT__DISCORD_URL": f"{self.outside_url}/discord/api/v10",
                "ORDERBUS_FULFILLMENT__DATA_KEYS": self.secrets.data_keys,
                "ORDERBUS_NOTIFICATIONS__FEED_SECRET": self.secrets.feed_secret,
                "ORDERBUS_PAY_PAGE__URL": f"http://{LOOPBACK}:{self.ports['payments']}",
                "ORDERBUS_PAY_PAGE__KEYS": self.secrets.pay_keys,
                "ORDERBUS_STRIPE__API_KEY": self.secrets.stripe_key,
                "ORDERBUS_STRIPE__API_BASE": self.stripe_url,
                "ORDERBUS_STRIPE__WEBHOOK_SECRET": self.secrets.stripe_webhook_secret,
                "ORDERBUS_STRIPE__REQUESTS_PER_SECOND": "10000",  # our own server: Stripe's limits do not apply
                "ORDERBUS_HTTP__REQUESTS_PER_SECOND": "100000",  # all of the stack is one address
                "ORDERBUS_HTTP__ADDRESS_SHARE": "1",
                "ORDERBUS_SMTP__HOST": LOOPBACK,
                "ORDERBUS_SMTP__PORT": str(self.ports["smtp"]),
                "ORDERBUS_WEBHOOKS_TO_PRIVATE_ADDRESSES": "true",
                "ORDERBUS_DEMO__DATA": str(self.data),
                "ORDERBUS_DEMO__STRIPE_URL": self.stripe_url,
                "ORDERBUS_DEMO__STRIPE_CONTROL_TOKEN": self.secrets.stripe_control_token,
                "ORDERBUS_DEMO__OUTSIDE_URL": self.outside_url,
                "ORDERBUS_DEMO__OUTSIDE_TOKEN": self.secrets.outside_token,
                "ORDERBUS_DEMO__MAILS_URL": f"{self.outside_url}/mails",
                "ORDERBUS_DEMO__WEBHOOK_URL": f"{self.outside_url}/hooks/demo",
                "ORDERBUS_DEMO__COURSE_URL": f"{self.outside_url}/access",
            }
        )

    def _lay_out(self) -> None:
        number, cluster = self._remembered.brokers, self._remembered.cluster
        folders = [self.data / name for name in ("kafka", "kafka-2", "kafka-3")[:number]]
        for private in (*folders, self.data / "stripe", self.data / "outside", self.data / "files"):
            private.mkdir(mode=0o700, exist_ok=True)
        self.brokers = tuple(
            Kafka(folder, self.logs, self.ports, self.children, node=node, brokers=number, cluster=cluster)
            for node, folder in enumerate(folders, 1)
        )
        self.postgres = Postgres(
            self.data / "postgres", self.logs, self.ports["postgres"], self.secrets.postgres_password, self.children
        )
        self.stripe = self._stripe_sandbox()
        self.outside = self._outside_world()

    def _stripe_sandbox(self) -> PythonPart:
        callback = f"http://{LOOPBACK}:{self.ports['payments']}{STRIPE_CALLBACK}"
        arguments = ["deploy.sandboxes.stripe", "--port", str(self.ports["stripe"])]
        arguments += ["--data", str(self.data / "stripe"), "--webhook-url", callback]
        environment = {
            "STRIPE_SANDBOX_API_KEY": self.secrets.stripe_key,
            "STRIPE_SANDBOX_CONTROL_TOKEN": self.secrets.stripe_control_token,
            "STRIPE_SANDBOX_WEBHOOK_SECRET": self.secrets.stripe_webhook_secret,
        }
        log = self.logs / "stripe-sandbox.log"
        return PythonPart("The Stripe sandbox", self.children, log, self.ports["stripe"], arguments, environment)

    def _outside_world(self) -> PythonPart:
        arguments = ["deploy.sandboxes.outside", "--data", str(self.data / "outside")]
        arguments += ["--smtp-port", str(self.ports["smtp"]), "--http-port", str(self.ports["outside"])]
        arguments += ["--rcon-port", str(self.ports["rcon"])]
        environment = {"ORDERBUS_OUTSIDE_TOKEN": self.secrets.outside_token}
        log = self.logs / "outside.log"
        return PythonPart("The outside world", self.children, log, self.ports["smtp"], arguments, environment)


async def together(starts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all at once; the first StackError ends the others and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for start in starts:
                group.create_task(start)
    except* StackError as failures:
        raise failures.exceptions[0] from None
