"""What a database's URL says holds for every connection that is made by it, and what is wrong with it is said in one
sentence: setting, what, remedy."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import asyncpg
import pytest
import pytest_asyncio

from deploy.check.databases import databases
from deploy.cli import probes
from deploy.cli.check import checkpoint_of
from deploy.demo.rest import unsettled
from deploy.devstack.children import Children
from deploy.devstack.ports import LOOPBACK, choose
from deploy.devstack.postgres import OWNER, Postgres
from deploy.settings import load_system_settings
from services.registry import SERVICES
from shared.postgres_url import PostgresUrl
from shared.settings import PREFIX, Settings, name_of
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres import revision
from shared.shell.postgres.engine import connect, create_engine, create_read_engine
from shared.shell.postgres.generation import NoTables, WrongGeneration, check_generation, inspected
from shared.shell.postgres.migration import migrate
from shared.shell.postgres.refusals import DatabaseRefused, checked, reached, refusal
from shared.shell.postgres.relay_lock import PostgresRelayLock
from shared.shell.postgres.rights import MissingRights
from tests.integration.certificates import Signed, authority, certificate, needs_openssl
from tests.integration.conftest import NewDatabase
from tests.integration.tls_front import RefusingFront, TlsFront, tls_front

PASSWORD = "p@ss/w%rd:#?"
DATABASE = "50% of orders"
SETTING = name_of(("notifications", "database_url"))


@dataclass(frozen=True)
class Server:
    port: int
    front: TlsFront
    ca: Signed
    other_ca: Signed
    client: Signed

    def url(self, database: str = DATABASE, *, host: str = LOOPBACK, **parameters: object) -> str:
        given = urlencode({name: str(value) for name, value in parameters.items()})
        return f"postgresql://{OWNER}:{quote(PASSWORD, safe='')}@{host}:{self.port}/{quote(database)}?{given}"

    def verified(self) -> str:
        return self.url(sslmode="verify-full", sslrootcert=self.ca.certificate)


@pytest_asyncio.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """PostgreSQL behind TLS, whose password and database have characters that a URL must encode."""
    folder = tmp_path_factory.mktemp("tls")
    ca, other = authority(folder, "ca"), authority(folder, "other")
    own, client = certificate(folder, "server", ca, LOOPBACK), certificate(folder, "client", ca, "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    ports = choose(["postgres", "front"])
    async with Children() as children:
        postgres = Postgres(folder / "data", folder, ports["postgres"], PASSWORD, children, [DATABASE])
        await postgres.start()
        async with tls_front(ports["postgres"], ports["front"], context) as front:
            yield Server(ports["front"], front, ca, other, client)
        await postgres.stop()


def settings_with(monkeypatch: pytest.MonkeyPatch, url: str) -> Settings:
    monkeypatch.setenv(f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for name in SERVICES:
        monkeypatch.setenv(name_of((name, "database_url")), url)
    return load_system_settings(SERVICES)


@needs_openssl
async def test_all_that_connects_verifies_the_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.verified()
    settings = settings_with(monkeypatch, url)
    server.front.sessions.clear()
    await asyncio.to_thread(migrate, "notifications", url)
    engine, reads = create_engine(url, "pool"), create_read_engine(url, "reads")
    lock = PostgresRelayLock(url, "relay")
    woken = asyncio.Event()
    try:
        await checked("notifications", url, engine)
        await lock.acquire(woken.set)
        async with engine.connect() as one, reads.connect() as other, databases(settings, ["notifications"]) as those:
            await one.exec_driver_sql("notify outbox")
            await one.commit()
            await other.exec_driver_sql("select 1")
            assert (await those["notifications"].attention()).attention == []
            assert await unsettled(settings) == set()
            assert (await probes.database(settings, "notifications")).startswith("PostgreSQL 18")
            await asyncio.wait_for(woken.wait(), 10)
        assert set(server.front.sessions) == {
            (name, True) for name in ("", "orderbus check", "pool", "reads", "relay-relay")
        }
    finally:
        await lock.close()
        await engine.dispose()
        await reads.dispose()


@needs_openssl
async def test_without_a_mode_tls_is_used_where_it_is_offered(server: Server) -> None:
    engine = create_engine(server.url(), "by default")
    try:
        async with engine.connect():
            assert server.front.sessions[-1] == ("by default", True)
    finally:
        await engine.dispose()


@needs_openssl
async def test_a_checkpoint_outlives_a_change_of_the_password(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checkpoint_of(settings_with(monkeypatch, server.verified()))
    changed = server.verified().replace(quote(PASSWORD, safe=""), "changed")
    assert checkpoint_of(settings_with(monkeypatch, changed)) == before
    assert checkpoint_of(settings_with(monkeypatch, server.url("another"))) != before


async def refused(url: str) -> str:
    """By the start of a worker; the text is one line that begins with the setting and never has the password."""
    with pytest.raises(DatabaseRefused) as error:
        await reached("notifications", url)
    text = str(error.value)
    assert text.startswith(f"{SETTING}: ")
    assert "\n" not in text
    assert PASSWORD not in text and quote(PASSWORD, safe="") not in text
    assert error.value.exit_code == 4
    return text


@needs_openssl
class TestTls:
    async def test_a_wrong_ca(self, server: Server) -> None:
        text = await refused(server.url(sslmode="verify-full", sslrootcert=server.other_ca.certificate))
        assert "is not accepted" in text and "sslrootcert must name the CA that signed it" in text

    async def test_a_host_that_the_certificate_does_not_name(self, server: Server) -> None:
        text = await refused(
            server.url(host="localhost", sslmode="verify-full", sslrootcert=server.ca.certificate),
        )
        assert "mismatch" in text and "the certificate must name the host" in text
        await reached("x", server.url(host="localhost", sslmode="verify-ca", sslrootcert=server.ca.certificate))

    async def test_no_ca(self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        text = await refused(server.url(sslmode="verify-full"))
        assert "sslrootcert must name the file of the server's CA" in text

    @pytest.mark.parametrize("name", ["sslrootcert", "sslcrl", "sslcert"])
    async def test_a_file_that_is_not_there(self, server: Server, tmp_path: Path, name: str) -> None:
        key = {"sslkey": server.client.key} if name == "sslcert" else {}
        given = {"sslmode": "verify-full", "sslrootcert": server.ca.certificate, **key, name: tmp_path / "none.pem"}
        text = await refused(f"{server.url()}{urlencode(given)}")
        assert f"{name}={tmp_path}/none.pem cannot be read (No such file or directory)" in text

    async def test_a_file_that_is_no_certificate(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("no certificate")
        text = await refused(server.url(sslmode="verify-full", sslrootcert=tmp_path / "ca.pem"))
        assert "holds no certificates in PEM form" in text

    async def test_a_key_of_another_certificate(self, server: Server) -> None:
        url = server.verified() + "&" + urlencode({"sslcert": server.client.certificate, "sslkey": server.ca.key})
        text = await refused(url)
        assert "cannot be used (key values mismatch)" in text

    @pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
    async def test_a_client_certificate_that_the_server_does_not_accept(
        self, server: Server, tmp_path: Path, version: str
    ) -> None:
        """As often as it is tried."""
        context, own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate(tmp_path, "own", server.ca, LOOPBACK)
        context.load_cert_chain(own.certificate, own.key)
        context.load_verify_locations(server.ca.certificate)
        context.verify_mode = ssl.CERT_OPTIONAL
        unknown = certificate(tmp_path, "unknown", server.other_ca, "unknown")
        given = {"sslcert": unknown.certificate, "sslkey": unknown.key, "ssl_max_protocol_version": version}
        port = choose(["front"])["front"]
        front = RefusingFront(port, context)
        serving = asyncio.create_task(asyncio.to_thread(front.serve))
        try:
            url = server.verified().replace(f":{server.port}/", f":{port}/") + "&" + urlencode(given)
            for _ in range(20):
                assert "unknown ca" in (text := await refused(url)) and "Check sslcert and sslkey" in text
        finally:
            front.close()
            await serving

    async def test_a_server_without_tls(self, new_database: NewDatabase) -> None:
        text = await refused(await new_database() + "?sslmode=require")
        assert "offers no TLS, but sslmode is require" in text


@needs_openssl
class TestTheServerRefuses:
    async def test_a_wrong_password(self, server: Server) -> None:
        text = await refused(server.url().replace(quote(PASSWORD, safe=""), "wrong"))
        assert f"refuses the password of {OWNER} for database {DATABASE} at {LOOPBACK}:{server.port}" in text

    async def test_no_password(self, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        text = await refused(server.url().replace(f":{quote(PASSWORD, safe='')}@", "@"))
        assert "there is none in the URL" in text

    async def test_a_file_of_passwords(self, server: Server, tmp_path: Path) -> None:
        url = server.url(passfile=tmp_path / "pass").replace(f":{quote(PASSWORD, safe='')}@", "@")
        assert "passfile=" in (text := await refused(url)) and "cannot be read" in text
        (tmp_path / "pass").write_text(f"*:*:*:*:{PASSWORD}\n")
        (tmp_path / "pass").chmod(0o600)
        await reached("notifications", url)

    async def test_the_environment_changes_nothing_about_tls(
        self, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = await new_database()
        monkeypatch.setenv("PGSSLMODE", "require")  # which this server does not offer
        await (await connect(url)).close()
        await asyncio.to_thread(migrate, "notifications", url)

    async def test_a_database_that_is_not_there(self, server: Server) -> None:
        text = await refused(server.url("nothing"))
        assert "there is no database nothing" in text and "create database" in text

    async def test_a_role_that_may_not_log_in(self, server: Server) -> None:
        admin = await connect(server.url())
        await admin.execute("create role locked_out nologin password 'x'")
        text = await refused(f"postgresql://locked_out:x@{LOOPBACK}:{server.port}/postgres")
        await admin.execute("drop role locked_out")
        await admin.close()
        assert "is not permitted to log in" in text

    async def test_a_role_that_may_not_make_tables(self, new_database: NewDatabase) -> None:
        """Nor connect, where that is not granted to all."""
        url = await new_database()
        name = url.rsplit("/", 1)[1]
        admin = await connect(url)
        await admin.execute(f"create role plain_{name} login password 'x'")
        plain = f"postgresql://plain_{name}:x@{url.partition('@')[2]}"
        try:
            with pytest.raises(
                DatabaseRefused, match=r"lacks a permission in .*permission denied for schema public.*its rights"
            ):
                await asyncio.to_thread(migrate, "notifications", plain)
            await asyncio.to_thread(migrate, "notifications", url)
            engine = create_engine(plain, "plain")
            with pytest.raises(
                MissingRights, match=rf"^{SETTING}: plain_{name} is not the owner .* Connect as orderbus"
            ):
                await checked("notifications", plain, engine)
            with pytest.raises(MissingRights, match=rf"plain_{name} may not read .*`grant select on all tables"):
                await checked("notifications", plain, engine, writes=False)
            await engine.dispose()
            await admin.execute(f"revoke connect on database {name} from public")
            assert "lacks a permission" in await refused(plain)
        finally:
            await admin.execute(f"drop owned by plain_{name}; drop role plain_{name}")
            await admin.close()


def test_a_server_that_asks_for_a_certificate_of_the_client() -> None:
    """With the words of PostgreSQL; the embedded one has no TLS."""
    error = asyncpg.PostgresError.new({"C": "28000", "M": "connection requires a valid client certificate"})
    said = refusal(PostgresUrl.parse("postgresql://u:p@h:5432/d"), error, "checkout")
    assert said.endswith("Name one that the server's CA signed by sslcert and sslkey.")


async def test_a_database_without_tables(new_database: NewDatabase) -> None:
    url = await new_database()
    engine = create_engine(url, "test")
    with pytest.raises(
        NoTables, match=rf"^{SETTING}: This database has no tables yet: run `orderbus migrate`"
    ) as error:
        await checked("notifications", url, engine)
    await engine.dispose()
    assert error.value.exit_code == 5


async def test_a_database_of_another_generation(new_database: NewDatabase) -> None:
    url = await new_database("notifications")
    connection = await asyncpg.connect(url)
    await connection.execute("update generation set number = number + 1")
    await connection.close()
    with pytest.raises(WrongGeneration, match=rf"^{SETTING}: This database is of generation"):
        await asyncio.to_thread(migrate, "notifications", url)


async def test_a_server_that_is_away_is_waited_for() -> None:
    with pytest.raises(StoreUnavailable):
        await reached("notifications", f"postgresql://u:p@{LOOPBACK}:{choose(['none'])['none']}/d")


async def test_a_running_worker_waits_for_a_role_that_is_refused(new_database: NewDatabase) -> None:
    """A password that is being changed, a database that is being restored: no reason to park messages."""
    url = await new_database()
    name = url.rsplit("/", 1)[1]
    refused = {"3D000": url.replace("/" + name, "/nothing"), "28P01": url.replace("orderbus:", "unknown:")}
    for state, wrong in refused.items():
        engine = create_engine(wrong, "test")
        with pytest.raises(StoreUnavailable, match=f"^{state} "):
            await inspected(engine, check_generation)
        await engine.dispose()


async def test_migrations_in_a_folder_with_a_percent_sign(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "50%s"
    shutil.copytree(revision.SERVICES / "checkout" / "migrations", folder / "checkout" / "migrations")
    monkeypatch.setattr(revision, "SERVICES", folder)
    url = await new_database()
    await asyncio.to_thread(migrate, "checkout", url)
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("select version_num from alembic_version")
    await connection.close()


@needs_openssl
@pytest.mark.parametrize("command", ["run", "migrate", "doctor"])
async def test_a_process_says_it_in_one_line(server: Server, command: str) -> None:
    """… and ends by itself, without a traceback."""
    url = server.url(sslmode="verify-full", sslrootcert=server.other_ca.certificate)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | {
        SETTING: url,
        f"{PREFIX}KAFKA__BOOTSTRAP_SERVERS": f"{LOOPBACK}:{choose(['none'])['none']}",
        f"{PREFIX}NOTIFICATIONS__FEED_SECRET": "a-secret-of-the-test",
    }
    arguments = [command] if command == "doctor" else [command, "notifications"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.cli.main", *arguments),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
    (line,) = [line for line in output.decode().splitlines() if SETTING in line]
    assert "sslrootcert must name the CA that signed it" in line
    assert "Traceback" not in output.decode()
    assert process.returncode == (1 if command == "doctor" else 4)
