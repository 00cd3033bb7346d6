"""The embedded stack as its users meet it: started, asked, restarted, killed, and started twice."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import asyncpg
import httpx
import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from standardwebhooks.webhooks import Webhook

from deploy.devstack import data_folder
from deploy.devstack.errors import DataInUse, MissingPart, StackError
from deploy.devstack.stack import PROJECT, Stack
from services.registry import SERVICES

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("stack") / "data") as running:
        yield running


def outside(stack: Stack) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {stack.environment()['ORDERBUS_DEMO__OUTSIDE_TOKEN']}"}
    return httpx.AsyncClient(base_url=stack.outside_url, headers=headers)


async def produce(stack: Stack, topic: str, value: bytes) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka.bootstrap_servers, enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value, key=b"order")


async def consume(stack: Stack, topic: str) -> bytes | None:
    servers = stack.kafka.bootstrap_servers
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id="readers", auto_offset_reset="earliest", enable_auto_commit=False
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 10)
        value: bytes | None = record.value
        return value


async def database(stack: Stack, name: str = "checkout") -> asyncpg.Connection:
    return await asyncpg.connect(stack.environment()[f"ORDERBUS_{name.upper()}__DATABASE_URL"])


def mail(to: str, subject: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"], message["Message-ID"] = "shop@example.com", to, subject, "<1@x>"
    message.set_content("Hello\n.\n..two dots\n")
    message.add_alternative("<p>Hello</p>", subtype="html")
    return message


async def send(stack: Stack, message: EmailMessage) -> None:
    await aiosmtplib.send(message, hostname="127.0.0.1", port=stack.ports["smtp"], start_tls=False)


async def test_a_record_goes_through_kafka(stack: Stack) -> None:
    await produce(stack, "greetings", b"hello")

    assert await consume(stack, "greetings") == b"hello"


async def test_each_service_has_a_durable_database_of_its_own(stack: Stack) -> None:
    for name in SERVICES:
        connection = await database(stack, name)
        assert await connection.fetchval("select current_database()") == name
        assert await connection.fetchval("select current_setting('synchronous_commit')") == "on"
        assert (await connection.fetchval("select version()")).startswith("PostgreSQL 18")
        await connection.close()


async def test_postgres_asks_for_the_password(stack: Stack) -> None:
    url = stack.postgres.url("checkout").replace(stack.secrets.postgres_password, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url)


async def test_a_mail_is_kept_as_it_came(stack: Stack) -> None:
    sent = mail("Jörg <joerg@example.com>", "Your order: grüße")
    await send(stack, sent)

    async with outside(stack) as world:
        [entry] = (await world.get("/mails", params={"to": "joerg@example.com"})).json()["mails"]
        kept = (await world.get(f"/mails/{entry['id']}")).json()
    assert (entry["subject"], entry["message_id"]) == ("Your order: grüße", "<1@x>")
    assert kept["text"] == "Hello\n.\n..two dots\n"
    assert kept["html"].strip() == "<p>Hello</p>"
    assert sum(1 for _ in (stack.data / "outside" / "mails").glob("*/*.eml")) == 1


async def test_the_mail_server_refuses_as_often_as_it_is_told(stack: Stack) -> None:
    async with outside(stack) as world:
        await world.put("/control/smtp", json={"answer": 451, "times": 1})
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await send(stack, mail("a@example.com", "first try"))
    assert refused.value.code == 451

    await send(stack, mail("a@example.com", "second try"))


async def test_webhooks_are_checked_against_their_secret(stack: Stack) -> None:
    secret, body = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", '{"event": "order.received"}'
    now = time.time()
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(now, UTC), body)
    signed = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now)), "webhook-signature": signature}
    async with outside(stack) as world:
        await world.put("/control/hooks/shop/secret", json={"secret": secret})
        assert (await world.post("/hooks/shop", content=body, headers=signed)).status_code == 204
        assert (await world.post("/hooks/shop", content=body + " ", headers=signed)).status_code == 401
        await world.put("/control/hooks/shop", json={"answer": 503, "times": 1})
        assert (await world.post("/hooks/shop", content=body, headers=signed)).status_code == 503
        received = (await world.get("/hooks/shop/received")).json()
    assert (received["received"], received["distinct"], received["wrongly_signed"], received["refused"]) == (3, 1, 1, 2)
    assert [request["verified"] for request in received["requests"]] == [True, False, True]


async def test_access_is_granted_once_per_key_and_revoked(stack: Stack) -> None:
    async with outside(stack) as world:
        grant = {"customer": "joerg@example.com", "product": "python-101"}
        answers = [await world.post("/access", json=grant, headers={"Idempotency-Key": "k1"}) for _ in range(2)]
        other = await world.post("/access", json=grant | {"product": "x"}, headers={"Idempotency-Key": "k1"})
        assert [answer.status_code for answer in answers] == [201, 200]
        assert other.status_code == 409
        assert [g["product"] for g in (await world.get("/access")).json()["grants"]] == ["python-101"]

        await world.request("DELETE", "/access", json=grant, headers={"Idempotency-Key": "k2"})
        assert (await world.get("/access")).json()["grants"] == []


async def test_what_the_outside_world_knows_needs_the_token(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.outside_url) as unauthorised:
        for path in ("/mails", "/hooks", "/access"):
            assert (await unauthorised.get(path)).status_code == 401


async def test_stripes_sandbox_answers_its_key(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.stripe_url) as client:
        answer = await client.get("/v1/payment_intents", auth=(stack.secrets.stripe_key, ""))
    assert answer.status_code == 200


async def test_a_second_stack_runs_next_to_it_but_not_on_the_same_data(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(DataInUse, match=r"Another stack .* runs on .*: use that one, stop it, or choose another"):
        await Stack(stack.data).__aenter__()

    async with Stack(tmp_path / "second") as second:
        assert not set(second.ports.values()) & set(stack.ports.values())
        await produce(second, "greetings", b"from the second")
        assert await consume(second, "greetings") == b"from the second"


async def test_a_restart_keeps_ports_records_rows_and_mails(tmp_path: Path) -> None:
    async with Stack(tmp_path / "data") as first:
        await produce(first, "orders", b"kept")
        await send(first, mail("kept@example.com", "kept"))
        connection = await database(first)
        await connection.execute("create table kept (value text); insert into kept values ('kept')")
        await connection.close()
    assert_nothing_runs_on(tmp_path)

    async with Stack(tmp_path / "data") as second:
        assert second.environment() == first.environment()
        assert await consume(second, "orders") == b"kept"
        connection = await database(second)
        assert await connection.fetchval("select value from kept") == "kept"
        await connection.close()
        async with outside(second) as world:
            assert (await world.get("/mails")).json()["mails"][0]["subject"] == "kept"


@asynccontextmanager
async def parent(data: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[int]]]:
    """A process that runs a stack, and the pids of its parts. Killed at the end if it still runs: a test that failed
    leaves nothing behind either."""
    command = [sys.executable, "-m", "tests.integration.stack_parent", str(data), *arguments]
    process = await asyncio.create_subprocess_exec(*command, cwd=PROJECT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        pids: list[int] = json.loads(await process.stdout.readline())["pids"]
        yield process, pids
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def running_on(folder: Path) -> list[str]:
    """Command lines of processes that name the folder, or work in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(folder) in line or str(folder) in (process.info["cwd"] or ""):
            found.append(line)
    return found


def assert_nothing_runs_on(folder: Path, within: float = 0.0) -> None:
    deadline = time.monotonic() + within
    while (left := running_on(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


async def test_a_parent_stopped_by_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    async with parent(tmp_path / "data") as (process, pids):
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 20) == 3

    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert_nothing_runs_on(tmp_path)


async def test_a_killed_parent_leaves_nothing_running_and_its_data_usable(tmp_path: Path) -> None:
    async with parent(tmp_path / "data") as (process, pids):
        process.kill()
        await process.wait()

    async with Stack(tmp_path / "data") as stack:  # at once: it waits for the end of the first
        assert not [pid for pid in pids if psutil.pid_exists(pid)]
        await produce(stack, "after", b"the kill")
        assert await consume(stack, "after") == b"the kill"
    assert_nothing_runs_on(tmp_path)


@pytest.mark.parametrize("after", [0.6, 1.3])
async def test_a_parent_killed_while_starting_leaves_nothing_running(tmp_path: Path, after: float) -> None:
    command = [sys.executable, "-m", "tests.integration.stack_parent", str(tmp_path / "data")]
    process = await asyncio.create_subprocess_exec(*command, cwd=PROJECT)
    await asyncio.sleep(after)
    process.kill()
    await process.wait()

    await asyncio.to_thread(assert_nothing_runs_on, tmp_path, within=10)


async def test_a_power_cut_is_recovered_from(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with parent(data) as (process, pids):
        guardian = psutil.Process(process.pid).children()[0]
        for pid in (process.pid, guardian.pid, *pids):
            os.kill(pid, signal.SIGKILL)
        await process.wait()
    await asyncio.to_thread(psutil.wait_procs, [guardian], 5)
    pid_file = data / "postgres" / "postmaster.pid"
    _, *rest = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *rest]) + "\n")  # after a boot the number is another program's
    (data / "kafka" / "records" / "meta.properties").unlink()  # and a format was cut short
    with (data / "outside" / "course.jsonl").open("ab") as journal:
        journal.write(b'{"does": "gra')

    async with Stack(data) as stack:
        connection = await database(stack)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
        await produce(stack, "after", b"the cut")
        async with outside(stack) as world:
            assert (await world.get("/access")).json()["grants"] == []


async def test_a_part_that_was_killed_can_be_started_again(stack: Stack) -> None:
    await produce(stack, "before", b"the kill")
    for part in (stack.kafka, stack.postgres):
        assert part.child is not None
        part.child.kill()
        assert (await stack.failed()).name == part.child.name
        await part.child.wait()
        await part.start()

    assert await consume(stack, "before") == b"the kill"
    connection = await database(stack)
    await connection.close()


def test_a_fresh_start_empties_the_folder_of_what_stacks_left(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{}")
    (tmp_path / "kafka" / "records").mkdir(parents=True)
    (tmp_path / "notes.txt").write_text("mine")

    data_folder.empty(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


async def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StackError, match=r"thesis\.txt.*choose an empty folder"):
        await Stack(tmp_path, fresh=True).__aenter__()
    assert (tmp_path / "thesis.txt").exists()


async def test_what_is_missing_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERBUS_KAFKA_HOME", str(tmp_path / "nowhere"))
    with pytest.raises(MissingPart, match=r"ORDERBUS_KAFKA_HOME is .*nowhere.* set it to the folder of an unpacked"):
        await Stack(tmp_path / "data").__aenter__()
    assert_nothing_runs_on(tmp_path)

    monkeypatch.delenv("ORDERBUS_KAFKA_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ORDERBUS_MAVEN_REPOSITORY", "http://127.0.0.1:9")
    with pytest.raises(MissingPart, match=r"Kafka could not be fetched .* or ORDERBUS_KAFKA_HOME to an unpacked"):
        await Stack(tmp_path / "data").__aenter__()
