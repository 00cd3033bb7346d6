"""Brokers that do not let a process in: one sentence with the setting and what to do, and no worker that waits
for ever."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.cli import probes
from deploy.cli.errors import Failure
from deploy.devstack.children import Children
from deploy.devstack.ports import LOOPBACK, choose
from services.registry import SERVICES
from shared.contracts import TOPICS
from shared.settings import PREFIX, KafkaSettings, Settings
from shared.shell.kafka.tls import KafkaRefused
from shared.shell.kafka.topics import ensure_topics
from shared.shell.ports.bus import BusUnavailable
from tests.integration.certificates import Signed, authority, certificate, needs_openssl
from tests.integration.conftest import ShortLivedKafka

PASSWORD = "the-password"


class AskingKafka(ShortLivedKafka):
    """With a second port, which asks for user and password."""

    asking = 0

    def _write_properties(self) -> None:
        super()._write_properties()
        open_one, controller, asking = (f"{LOOPBACK}:{port}" for port in (*list(self._ports.values())[:2], self.asking))
        module = "org.apache.kafka.common.security.plain.PlainLoginModule"
        with self.properties.open("a") as properties:
            properties.write(
                f"listeners=PLAINTEXT://{open_one},CONTROLLER://{controller},ASKING://{asking}\n"
                f"advertised.listeners=PLAINTEXT://{open_one},ASKING://{asking}\n"
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,ASKING:SASL_PLAINTEXT\n"
                "sasl.enabled.mechanisms=PLAIN\n"
                f'listener.name.asking.plain.sasl.jaas.config={module} required user_shop="{PASSWORD}";\n'
            )


@pytest_asyncio.fixture(scope="module")
async def asking(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("asking")
    async with Children() as children:
        broker = AskingKafka(folder / "data", folder, choose(("kafka", "kafka_controller")), children)
        broker.asking = choose(["asking"])["asking"]
        await broker.start()
        yield f"{LOOPBACK}:{broker.asking}"
        await broker.stop()


async def refused(**settings: object) -> str:
    """By the start of a worker, and by `orderbus doctor`."""
    given = KafkaSettings.model_validate(settings)
    with pytest.raises(KafkaRefused) as error:
        await ensure_topics(given, [])
    with pytest.raises((Failure, KafkaRefused)) as by_doctor:
        await probes.kafka(Settings(kafka=given))
    assert str(error.value) == str(by_doctor.value)
    assert "\n" not in str(error.value)
    return str(error.value)


async def test_a_user_and_a_password(asking: str) -> None:
    sasl = {"bootstrap_servers": asking, "security_protocol": "SASL_PLAINTEXT", "sasl_username": "shop"}
    said = await refused(**sasl, sasl_password="wrong-password")
    assert said.startswith(f"{PREFIX}KAFKA__SASL_PASSWORD: {asking} refuses user shop or the password. Correct")
    assert "wrong-password" not in said
    said = await refused(**sasl, sasl_password=PASSWORD, sasl_mechanism="SCRAM-SHA-256")
    assert said.startswith(f"{PREFIX}KAFKA__SASL_MECHANISM: {asking} does not know SCRAM-SHA-256")
    assert await ensure_topics(KafkaSettings.model_validate({**sasl, "sasl_password": PASSWORD}), [])


async def test_brokers_that_are_away_are_waited_for() -> None:
    with pytest.raises(BusUnavailable):
        await ensure_topics(KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{choose(['none'])['none']}"), [])


async def found(servers: str, protocol: str, **more: object) -> str:
    """By `orderbus doctor`."""
    given = {"bootstrap_servers": servers, "security_protocol": protocol, **more}
    with pytest.raises(Failure) as error:
        await probes.kafka(Settings(kafka=KafkaSettings.model_validate(given)))
    return str(error.value)


async def test_a_port_that_asks_for_a_login(asking: str) -> None:
    said = await found(asking, "PLAINTEXT")
    assert f"{asking} cannot be reached by PLAINTEXT" in said
    assert "may ask for a login (SASL)" in said and f"{PREFIX}KAFKA__SECURITY_PROTOCOL" in said


async def test_a_port_without_tls(asking: str) -> None:
    said = await found(asking, "SASL_SSL", sasl_username="shop", sasl_password=PASSWORD)
    assert "SECURITY_PROTOCOL" in said and "TLS" in said


async def test_a_port_at_which_nothing_listens() -> None:
    servers = f"{LOOPBACK}:{choose(['none'])['none']}"
    assert f"nothing accepts connections at {servers}" in await found(servers, "PLAINTEXT")


OPENED = '{"type": "checkout.opened", "order": "o-1", "data": {"store": "shop", "currency": "EUR"}}'


async def by_command(words: str, folder: Path, servers: str, **more: str) -> tuple[int | None, list[str]]:
    """What a command says on standard error, and its exit code."""
    file = folder / "order.json"
    file.write_text(OPENED)
    databases = {f"{PREFIX}{name.upper()}__DATABASE_URL": "postgresql://u@127.0.0.1:1/d" for name in SERVICES}
    addresses = {f"{PREFIX}{name.upper()}__INTERNAL_URL": f"http://{LOOPBACK}:1" for name in SERVICES}
    kafka = {f"{PREFIX}KAFKA__{name}": value for name, value in {"BOOTSTRAP_SERVERS": servers, **more}.items()}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    command = (sys.executable, "-m", "deploy.cli.main", *words.replace("FILE", str(file)).split())
    program = await asyncio.create_subprocess_exec(
        *command,
        env={**environment, **databases, **addresses, **kafka, "XDG_DATA_HOME": str(folder)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(program.communicate(), 60)
    return program.returncode, said.decode().splitlines()


LOGIN = {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_USERNAME": "shop", "SASL_PASSWORD": "wrong-password"}
PASSWORD_REFUSED = (LOGIN, "SASL_PASSWORD", "refuses user shop or the password")
NO_TLS = (LOGIN | {"SECURITY_PROTOCOL": "SASL_SSL"}, "SECURITY_PROTOCOL", "does not speak TLS")
OTHERS = (
    (LOGIN | {"SASL_USERNAME": "another"}, "SASL_PASSWORD", "refuses user another or the password"),
    (LOGIN | {"SASL_MECHANISM": "SCRAM-SHA-512"}, "SASL_MECHANISM", "does not know SCRAM-SHA-512"),
    ({"SECURITY_PROTOCOL": "PLAINTEXT"}, "SECURITY_PROTOCOL", "may ask for a login (SASL)"),
    ({"SECURITY_PROTOCOL": "SSL", "CA_FILE": "/no.pem"}, "CA_FILE", "cannot be read (No such file or directory)"),
)
NO_WORKER = "No worker answers. Are they running? `orderbus doctor` checks."


@pytest.mark.parametrize(
    ("words", "cases"),
    [
        ("publish FILE", (PASSWORD_REFUSED, NO_TLS, *OTHERS)),
        ("watch", (PASSWORD_REFUSED, NO_TLS)),
        ("republish", (PASSWORD_REFUSED, NO_TLS)),
        ("top --once", (PASSWORD_REFUSED, NO_TLS)),
    ],
)
async def test_every_command_that_opens_kafka_says_so_in_one_line(
    words: str, cases: Sequence[tuple[dict[str, str], str, str]], asking: str, tmp_path: Path
) -> None:
    for given, name, why in cases:
        code, lines = await by_command(words, tmp_path, asking, **given)
        (said,) = (line for line in lines if line != NO_WORKER)
        assert f"{PREFIX}KAFKA__{name}" in said and why in said and "wrong-password" not in said
        assert asking in said or name == "CA_FILE"
        assert code
        if words == "publish FILE":
            assert code == (1 if name == "SECURITY_PROTOCOL" else 2)


async def test_a_broker_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    servers = f"{LOOPBACK}:{choose(['none'])['none']}"
    for words in ("publish FILE", "watch"):
        code, (line,) = await by_command(words, tmp_path, servers)
        assert line.startswith(f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS: {servers} cannot be reached by PLAINTEXT")
        assert "nothing accepts connections" in line and code == 1


async def test_topics_that_do_not_exist_yet_are_named_also_those_of_dead_letters(asking: str) -> None:
    sasl = {"bootstrap_servers": asking, "security_protocol": "SASL_PLAINTEXT"}
    given = KafkaSettings.model_validate({**sasl, "sasl_username": "shop", "sasl_password": PASSWORD})
    await ensure_topics(given, ["checkout", "payments", "fulfillment"])
    there = f"{len(TOPICS) + 3} of {len(TOPICS) + len(SERVICES)} topics"
    async with asyncio.timeout(30):
        while there not in (said := await probes.kafka(Settings(kafka=given))):
            await asyncio.sleep(0.1)  # a broker lists a new topic a little later
    assert "notifications.dead-letter.v1" in said and "checkout.dead-letter.v1" not in said


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Signed:
    return authority(tmp_path_factory.mktemp("tls"), "ca")


@pytest_asyncio.fixture(scope="module")
async def broker(ca: Signed) -> AsyncIterator[str]:
    """As much of one as shows its certificate."""
    own = certificate(ca.key.parent, "broker", ca, LOOPBACK)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0, ssl=context)
    yield f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    server.close()


@needs_openssl
class TestTls:
    async def test_a_wrong_ca(self, broker: str, ca: Signed) -> None:
        other = authority(ca.key.parent, "other")
        said = await refused(bootstrap_servers=broker, security_protocol="SSL", ca_file=other.certificate)
        assert said.startswith(f"{PREFIX}KAFKA__CA_FILE: the certificate of {broker} is not accepted")

    async def test_a_host_that_the_certificate_does_not_name(self, broker: str, ca: Signed) -> None:
        servers = broker.replace(LOOPBACK, "localhost")
        said = await refused(bootstrap_servers=servers, security_protocol="SSL", ca_file=ca.certificate)
        assert "mismatch" in said and "must name the host" in said

    async def test_a_port_of_another_protocol(self, ca: Signed) -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10_000)
            writer.write(b"220 mail.example\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, LOOPBACK, 0)
        broker = f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
        said = await refused(bootstrap_servers=broker, security_protocol="SSL", ca_file=ca.certificate)
        server.close()
        assert said.startswith(
            f"{PREFIX}KAFKA__SECURITY_PROTOCOL: there is no TLS connection to {broker} (wrong version"
        )

    async def test_a_port_for_tls_without_it(self, broker: str) -> None:
        said = await found(broker, "PLAINTEXT")
        assert f"{broker} speaks TLS (SSL or SASL_SSL). Correct {PREFIX}KAFKA__SECURITY_PROTOCOL" in said

    async def test_files_that_cannot_be_used(self, broker: str, ca: Signed, tmp_path: Path) -> None:
        (tmp_path / "none.pem").write_text("no certificate")
        tls = {"bootstrap_servers": broker, "security_protocol": "SSL", "ca_file": ca.certificate}
        for name in ("ca_file", "certificate_file"):
            said = await refused(**tls | {name: tmp_path / "missing.pem"})
            assert said.startswith(
                f"{PREFIX}KAFKA__{name.upper()}: {tmp_path}/missing.pem cannot be read (No such file"
            )
        assert "holds no certificates in PEM form" in await refused(**tls | {"ca_file": tmp_path / "none.pem"})
        other = certificate(ca.key.parent, "other-client", ca, "client")
        said = await refused(**tls, certificate_file=other.certificate, key_file=ca.key)
        assert "certificate and key cannot be used (key values mismatch)" in said

    async def test_a_worker_says_it_in_one_line_and_ends(self, broker: str, ca: Signed) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
            f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS": broker,
            f"{PREFIX}KAFKA__SECURITY_PROTOCOL": "SSL",
            f"{PREFIX}KAFKA__CA_FILE": str(ca.key.parent / "missing.pem"),
            f"{PREFIX}CHECKOUT__DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
        }
        command = (sys.executable, "-m", "deploy.worker", "checkout")
        worker = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)
        _, output = await asyncio.wait_for(worker.communicate(), 60)
        (line,) = [line for line in output.decode().splitlines() if "missing.pem" in line]
        assert line.startswith(f"checkout: {PREFIX}KAFKA__CA_FILE: ")
        assert "Traceback" not in output.decode()
        assert worker.returncode == 4
