"""TLS with Kafka's brokers, by the files that the settings name."""

from __future__ import annotations

import ssl
from pathlib import Path

from shared.errors import ReportedError
from shared.settings import KafkaSettings, name_of


class KafkaRefused(ReportedError):
    """The settings are well-formed, but do not lead to brokers that let this process in."""

    exit_code = 4


def tls_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Raises KafkaRefused."""
    for name in ("ca_file", "certificate_file", "key_file"):
        file: Path | None = getattr(settings, name)
        try:
            file.read_bytes() if file else None
        except OSError as trouble:
            raise KafkaRefused(
                f"{name_of(('kafka', name))}: {file} cannot be read ({trouble.strerror}). Correct the path, or the "
                "file's permissions."
            ) from None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except ssl.SSLError:
        raise KafkaRefused(
            f"{name_of(('kafka', 'ca_file'))}: {settings.ca_file} holds no certificates in PEM form. Name the file of "
            "the brokers' CA."
        ) from None
    if settings.certificate_file:
        try:
            # Without a password, a key that is encrypted is an error. Else Python would ask for one on the terminal.
            context.load_cert_chain(settings.certificate_file, settings.key_file, password=lambda: "")
        except ssl.SSLError as wrong:
            raise KafkaRefused(
                f"{name_of(('kafka', 'certificate_file'))}: certificate and key cannot be used ({reason(wrong)}). Both "
                "must be in PEM form and belong together, and the key must not be encrypted."
            ) from None
    return context


def reason(error: ssl.SSLError) -> str:
    return (error.reason or type(error).__name__).lower().replace("_", " ")
