"""Why brokers do not let this process in: said at the start, in one sentence. The client itself tries again for ever,
and says only that it cannot connect."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.settings import KafkaSettings, name_of
from shared.shell.kafka.source import connection
from shared.shell.kafka.tls import KafkaRefused, reason
from shared.shell.ports.bus import BusUnavailable

SECONDS = 5.0


async def refusal(settings: KafkaSettings) -> str:
    """What is wrong and what to do. Empty where a broker takes this process, or where waiting may help."""
    options = {name: value for name, value in connection(settings).items() if name != "bootstrap_servers"}
    said = ""
    for host, port, _ in collect_hosts(settings.bootstrap_servers):
        try:
            async with asyncio.timeout(SECONDS):
                broker = await create_conn(host, port, request_timeout_ms=int(SECONDS * 1000), **options)
            with suppress(Exception):
                await broker.close()
            return ""
        except UnicodeError:  # of the codec for names of hosts: a label is empty, or has more than 63 letters
            name = name_of(("kafka", "bootstrap_servers"))
            said = said or f"{name}: {host!r} is no name of a host. Correct it."
        except (KafkaError, OSError, TimeoutError) as error:
            said = said or _said(settings, f"{host}:{port}", error)
    return said


def _said(settings: KafkaSettings, broker: str, error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            name, said = "ca_file", f"the certificate of {broker} is not accepted ({error.verify_message.rstrip('.')})"
            remedy = "It must name the CA that signed it, and the certificate must name the host"
        case ssl.SSLError():
            name, said = "security_protocol", f"there is no TLS connection to {broker} ({reason(error)})"
            remedy = "Check that the port is one for TLS, and whether it asks for a client's certificate"
        case SaslAuthenticationFailed():
            name, said = "sasl_password", f"{broker} refuses user {settings.sasl_username} or the password"
            remedy = "Correct SASL_USERNAME and SASL_PASSWORD, or create the user"
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            name, said = "sasl_mechanism", f"{broker} does not know {settings.sasl_mechanism} on this port"
            remedy = "Correct SASL_MECHANISM or SECURITY_PROTOCOL, or the port"
        case _:
            return ""
    return f"{name_of(('kafka', name))}: {said}. {remedy}."


async def unusable_kafka(settings: KafkaSettings, error: Exception) -> KafkaRefused | BusUnavailable:
    """What to raise for a client that does not get in. One sentence says the setting, the broker, and what to do."""
    if isinstance(error, KafkaRefused):
        return error
    if said := await refusal(settings):
        return KafkaRefused(said)
    return BusUnavailable(await unreachable(settings, error))


async def unreachable(settings: KafkaSettings, error: Exception) -> str:
    """Where waiting may help: the setting, the address, the client's name of the error, and what it suggests."""
    where, name = f"{name_of(('kafka', 'bootstrap_servers'))}: {settings.bootstrap_servers}", type(error).__name__
    if not isinstance(error, KafkaConnectionError):
        return f"{where}: {name}"
    hint = await _wrong_protocol(settings)
    return f"{where} cannot be reached by {settings.security_protocol} ({name}): {hint}"


async def _wrong_protocol(settings: KafkaSettings) -> str:
    """What the first broker's behaviour suggests where no client gets in. One that is spoken to in another protocol
    than that of its port only ends the connection."""
    protocol = settings.security_protocol
    host, port, _ = collect_hosts(settings.bootstrap_servers, randomize=False)[0]
    if not await _opened(host, port, None):
        return f"nothing accepts connections at {host}:{port} (a broker that was just started needs up to a minute)"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    speaks_tls = await _opened(host, port, context)
    if speaks_tls != ("SSL" in protocol.split("_")):
        other = "speaks TLS (SSL or SASL_SSL)" if speaks_tls else "does not speak TLS (PLAINTEXT or SASL_PLAINTEXT)"
        return f"{host}:{port} {other}. Correct {name_of(('kafka', 'security_protocol'))}, or the port"
    login = "asks for no login" if "SASL" in protocol else "may ask for a login (SASL)"
    return (
        f"{host}:{port} accepts the connection, then ends it or says nothing, so it {login}, is still starting, or is "
        f"no Kafka broker. Check {name_of(('kafka', 'security_protocol'))} and the port"
    )


async def _opened(host: str, port: int, context: ssl.SSLContext | None) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, UnicodeError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1.0):
            await writer.wait_closed()
    return True
