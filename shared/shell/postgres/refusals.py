"""Why a database cannot be used until an operator changes something, and what: said at the start, in one sentence. What
passes by itself (a server that restarts, a network that is down) is no refusal.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import ReportedError
from shared.postgres_url import FILES, PostgresUrl
from shared.settings import ServiceSettings, name_of
from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.connections import Connections, translated
from shared.shell.postgres.engine import CONNECT_SECONDS, connect
from shared.shell.postgres.generation import NoTables, WrongGeneration, check_generation, inspected
from shared.shell.postgres.identity import enter_service
from shared.shell.postgres.limits import TooManyConnections, fitting
from shared.shell.postgres.pooler import SharedSession, own_session
from shared.shell.postgres.revision import OldSchema, check_revision
from shared.shell.postgres.rights import MissingRights, check_owner, check_reader


class DatabaseRefused(ReportedError):
    """The URL of a database is well-formed, but does not lead to a database that a service may use."""

    exit_code = 4


class DatabaseUnreachable(StoreUnavailable):
    """No connection now. The text names the setting and the address, and says what to do if it stays so."""


OLDEST = 16
"""The oldest major version of PostgreSQL that has all that is used here."""
NOT_USABLE = (NoTables, WrongGeneration, OldSchema, MissingRights, TooManyConnections)


async def reached(service: str, url: str, timeout: float = CONNECT_SECONDS) -> None:
    """Connect to a service's database, through a pooler or not. Raises DatabaseRefused; DatabaseUnreachable or
    another StoreUnavailable where waiting may help."""
    try:
        with refusals_named(service, url):
            connection = await _connected(url, timeout)
            try:
                _new_enough(service, url, connection)
                await own_session(connection, url, timeout)
            finally:
                await connection.close(timeout=timeout)
    except OSError as error:
        raise DatabaseUnreachable(unreachable(service, url, error)) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise translated(error) from error


def unreachable(service: str, url: str, error: OSError) -> str:
    """Setting, address and what to do; never the user or the password."""
    given = PostgresUrl.parse(url)
    address = given.hosts or given.parameters.get("host") or "the default host"
    if isinstance(error, ConnectionRefusedError) or f"[Errno {errno.ECONNREFUSED}]" in str(error):
        said = f"nothing accepts connections at {address}. Correct host and port, or start PostgreSQL."
    elif isinstance(error, socket.gaierror):
        said = f"the host of {address} is not known. Correct it, or the name server."
    elif isinstance(error, TimeoutError):
        said = f"{address} does not answer in time. Correct host and port, or check the firewall."
    else:
        said = f"{address} cannot be reached ({type(error).__name__})."
    return f"{name_of((service, 'database_url'))}: {said}"


def _new_enough(service: str, url: str, connection: asyncpg.Connection) -> None:
    """Raises DatabaseRefused."""
    version = connection.get_server_version()
    if version.major < OLDEST:
        raise DatabaseRefused(
            f"{name_of((service, 'database_url'))}: the server of {PostgresUrl.parse(url).place()} is PostgreSQL "
            f"{version.major}.{version.minor}; orderbus needs {OLDEST} or newer. Upgrade it, or name another server."
        )


async def _connected(url: str, timeout: float) -> asyncpg.Connection:
    """With TLS 1.3 a server refuses a client's certificate after the handshake, and the end of the connection may
    overtake the reason. TLS 1.2 tells it."""
    try:
        return await connect(url, timeout=timeout)
    except (asyncpg.ConnectionDoesNotExistError, ConnectionError) as broken:
        given = PostgresUrl.parse(url)
        if "sslcert" not in given.parameters or isinstance(broken.__cause__, ssl.SSLError):
            raise
        older = replace(given, parameters={**given.parameters, "ssl_max_protocol_version": "TLSv1.2"})
        try:
            return await connect(older.driver_url(), timeout=timeout)
        except (asyncpg.ClientConfigurationError, ssl.SSLError) as error:
            if isinstance(error, ssl.SSLError) and "PROTOCOL_VERSION" not in str(error.reason):
                raise
            raise broken from None  # one side speaks TLS 1.3 only


async def checked(service: str, url: str, engine: AsyncEngine, *, writes: bool = True) -> None:
    """Before a service's database is used: connect, and compare its rights, generation, revision and whose it is.
    `writes`: False for a role that only reads. Raises DatabaseRefused, WrongDatabase, one of NOT_USABLE;
    StoreUnavailable where waiting may help."""
    await reached(service, url)
    with refusals_named(service, url):
        rights = partial(check_owner if writes else check_reader, service=service)
        await inspected(engine, rights, check_generation, partial(check_revision, service=service))
        if writes:
            await enter_service(Connections(engine).fetch, service)


async def fits(service: str, own: ServiceSettings, engine: AsyncEngine, worker: str = "") -> str:
    """What to do where the connections of a service's workers do not fit (`limits.py`); empty where they do. Raises
    TooManyConnections; StoreUnavailable where waiting may help."""
    with refusals_named(service, own.database_url.get_secret_value()):
        try:
            async with engine.connect() as connection:
                return await fitting(connection, service, own, worker)
        except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
            raise translated(error) from error


@contextmanager
def refusals_named(service: str, url: str) -> Iterator[None]:
    """Raises DatabaseRefused in place of a driver's error that is a refusal. Errors about what is in the database name
    the setting, too."""
    try:
        yield
    except NOT_USABLE as wrong:
        wrong.args = (f"{name_of((service, 'database_url'))}: {wrong}",)
        raise
    except SharedSession as mode:
        raise DatabaseRefused(f"{name_of((service, 'database_url'))}: {pooled(url, str(mode))}") from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, sa.exc.DBAPIError) as error:
        cause = getattr(error, "orig", None) or error
        if said := refusal(PostgresUrl.parse(url), cause.__cause__ or cause, service):
            raise DatabaseRefused(f"{name_of((service, 'database_url'))}: {said}") from None
        raise


def pooled(url: str, mode: str) -> str:
    return (
        f"{PostgresUrl.parse(url).place()} is behind a pooler in {mode} mode, in which the relay's lock does not hold. "
        "Set pool_mode = session for it, or name the server itself."
    )


def refusal(url: PostgresUrl, error: BaseException, service: str) -> str:
    """What is wrong and what to do; empty where waiting may help."""
    if isinstance(error, asyncpg.PostgresError):
        return _by_server(url, error, service)
    return _by_files(url) or _by_driver(url, error)


def _by_server(url: PostgresUrl, error: asyncpg.PostgresError, service: str) -> str:
    user = url.user or "the default user"
    said = str(getattr(error, "message", "") or type(error).__name__)
    match error.sqlstate:
        case "28P01":
            none = "" if url.password or "passfile" in url.parameters else " (there is none in the URL)"
            return _by_files(url) or (
                f"the server refuses the password of {user} for {url.place()}{none}. Correct it here (write "
                "special characters %-encoded), or set it in PostgreSQL: `alter role … password …`."
            )
        case "28000" if "client certificate" in said:
            return (
                f"the server refuses {user} access to {url.place()} ({said}). Name one that the server's CA signed by "
                "sslcert and sslkey."
            )
        case "28000":
            return (
                f"the server refuses {user} access to {url.place()} ({said}). Correct the user here, create "
                "the role in PostgreSQL, or allow it in pg_hba.conf."
            )
        case "3D000":
            return f"there is no {url.place()}. Create it (`create database …`), or correct its name here."
        case "42501":
            return (
                f"{user} lacks a permission in {url.place()} ({said}). This may be the database of another service. "
                f"Name the database of {service} here, and its own role. Only if this is the one, give the role its "
                "rights: “Databases and roles” in docs/operations.md."
            )
    return ""


def _by_files(url: PostgresUrl) -> str:
    """Of the files that the URL names, the first that cannot be used."""
    given = {name: url.parameters[name] for name in FILES if name in url.parameters}
    for name, file in given.items():
        try:
            Path(file).read_bytes()
        except OSError as trouble:
            return f"{name}={file} cannot be read ({trouble.strerror}). Correct the path, or the file's permissions."
    if (passfile := given.get("passfile")) and Path(passfile).stat().st_mode & 0o077:
        return f"passfile={passfile} may be read by others, so it is not used. Run `chmod 600` on it."
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in ("sslrootcert", "sslcrl"):
        try:
            context.load_verify_locations(cafile=given.get(name) or None) if name in given else None
        except ssl.SSLError:
            return f"{name}={given[name]} holds no certificates in PEM form. Name the file of the server's CA."
    if "sslcert" in given:
        try:
            password = url.parameters.get("sslpassword", "")
            context.load_cert_chain(given["sslcert"], given.get("sslkey"), lambda: password)
        except ssl.SSLError as wrong:
            return (
                f"sslcert={given['sslcert']} and sslkey={given['sslkey']} cannot be used ({_reason(wrong)}). Both must "
                "be in PEM form and belong together; an encrypted key needs sslpassword."
            )
    return ""


def _by_driver(url: PostgresUrl, error: BaseException) -> str:
    mode = url.parameters.get("sslmode", "prefer")
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate of the server of {url.place()} is not accepted ({error.verify_message.rstrip('.')}). "
            f"sslrootcert must name the CA that signed it{_host_rule(mode)}."
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"there is no TLS connection to {url.place()} ({_reason(error)}). Check sslcert and sslkey if the server "
            "asks for a client's certificate, and the versions of TLS on both sides."
        )
    if type(error) is ConnectionError and "rejected SSL upgrade" in str(error):
        return (
            f"the server of {url.place()} offers no TLS, but sslmode is {mode}. Turn TLS on there (`ssl = on`), or "
            "choose another sslmode."
        )
    if isinstance(error, asyncpg.ClientConfigurationError):
        return (
            f"{str(error).splitlines()[0]}. With sslmode={mode}, sslrootcert must name the file of the server's CA."
            if mode.startswith("verify")
            else str(error).splitlines()[0]
        )
    return ""


def _host_rule(mode: str) -> str:
    return ", and the certificate must name the host" if mode == "verify-full" else ""


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or type(error).__name__).lower().replace("_", " ")
