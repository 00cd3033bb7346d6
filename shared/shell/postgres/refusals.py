"""Why a database cannot be used until an operator changes something, and what: said at the start, in one sentence. What
passes by itself (a server that restarts, a network that is down) is no refusal.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.errors import ReportedError
from shared.postgres_url import FILES, PostgresUrl
from shared.settings import name_of
from shared.shell.postgres.connections import Connections, translated
from shared.shell.postgres.engine import CONNECT_SECONDS, connect
from shared.shell.postgres.generation import NoTables, WrongGeneration, generation_checked
from shared.shell.postgres.identity import enter_service


class DatabaseRefused(ReportedError):
    """The URL of a database is well-formed, but does not lead to a database that a service may use."""

    exit_code = 4


async def reached(service: str, url: str, timeout: float = CONNECT_SECONDS) -> None:
    """Connect once to a service's database. Raises DatabaseRefused; StoreUnavailable where waiting may help."""
    try:
        with refusals_named(service, url):
            connection = await connect(url, timeout=timeout)
            await connection.close(timeout=timeout)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        raise translated(error) from error


async def checked(service: str, url: str, engine: AsyncEngine) -> None:
    """Before a service's database is used: connect, and compare its generation and whose it is. Raises DatabaseRefused,
    NoTables, WrongGeneration, WrongDatabase; StoreUnavailable where waiting may help."""
    await reached(service, url)
    with refusals_named(service, url):
        await generation_checked(engine)
        await enter_service(Connections(engine).fetch, service)


@contextmanager
def refusals_named(service: str, url: str) -> Iterator[None]:
    """Raises DatabaseRefused in place of a driver's error that is a refusal. Errors about what is in the database name
    the setting, too."""
    try:
        yield
    except (NoTables, WrongGeneration) as wrong:
        wrong.args = (f"{name_of((service, 'database_url'))}: {wrong}",)
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, sa.exc.DBAPIError) as error:
        cause = getattr(error, "orig", None) or error
        if said := refusal(PostgresUrl.parse(url), cause.__cause__ or cause):
            raise DatabaseRefused(f"{name_of((service, 'database_url'))}: {said}") from None
        raise


def refusal(url: PostgresUrl, error: BaseException) -> str:
    """What is wrong and what to do; empty where waiting may help."""
    if isinstance(error, asyncpg.PostgresError):
        return _by_server(url, error)
    return _by_files(url) or _by_driver(url, error)


def _by_server(url: PostgresUrl, error: asyncpg.PostgresError) -> str:
    user = url.user or "the default user"
    said = str(getattr(error, "message", "") or type(error).__name__)
    match error.sqlstate:
        case "28P01":
            none = "" if url.password or "passfile" in url.parameters else " (there is none in the URL)"
            return _by_files(url) or (
                f"the server refuses the password of {user} for {url.place()}{none}. Correct it here (write "
                "special characters %-encoded), or set it in PostgreSQL: `alter role … password …`."
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
                f"{user} lacks a permission in {url.place()} ({said}). Make it the owner: `alter database … owner "
                "to …`."
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
