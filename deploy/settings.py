"""Settings of programs that work with several services: the command line, the check, the demo."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import new_class
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, SecretStr, create_model

from services.notifications.settings import SmtpSettings
from services.registry import PROCESSES, READERS, SERVICES, settings_of
from shared.setting_types import Secret, database_url
from shared.settings import (
    EdgeSettings,
    ServiceSettings,
    Settings,
    WrongSettings,
    load_settings,
    name_of,
    unread,
)

OF_THE_STACK = ("ORDERBUS_DEMO__",)
"""How variables begin by which the embedded stack tells others where it is."""


class ServiceAndDatabase(ServiceSettings):
    """The addresses of a service and its database. Other settings, such as secrets, are for workers."""

    model_config = ConfigDict(extra="ignore")


class ReaderAddress(EdgeSettings):
    """The address of a process without a database."""

    model_config = ConfigDict(extra="ignore")


def _if_given(url: SecretStr) -> SecretStr:
    return database_url(url) if url.get_secret_value() else url


class ServiceAddress(ServiceAndDatabase):
    """The address of a service: most commands speak HTTP only."""

    database_url: Annotated[Secret, AfterValidator(_if_given)] = SecretStr("")


def load_system_settings(databases: Sequence[str] = ()) -> Settings:
    """The shared settings, and where each service is. `databases`: the services whose databases are needed as well.
    Raises WrongSettings."""
    return load_settings(system_settings(tuple(databases)), all_settings())


def database_of(settings: Settings, name: str) -> str:
    """Where a service's database is, where it may be missing. Raises WrongSettings."""
    url = settings.service(name).database_url.get_secret_value()
    if not url:
        raise WrongSettings(f"{name_of((name, 'database_url'))}: is missing (this command reads that database)")
    return url


def load_process_settings(name: str) -> Settings:
    """What one process needs; the other processes' settings are known, but not read. Raises WrongSettings."""
    return load_settings(settings_of(name), all_settings())


def load_all_settings() -> Settings:
    """Everything that all processes need: an instance of each one's class. Raises WrongSettings."""
    return load_settings(all_settings(), all_settings())


def load_check_settings() -> Settings:
    """Where each service and its database is, and what the payment providers need: no other secrets of workers. Raises
    WrongSettings."""
    return load_settings(check_settings(), all_settings())


def check_settings() -> type[Settings]:
    return system_settings(tuple(SERVICES), settings_of("payments"))


def load_mail_settings() -> Settings:
    """Where the mail server is, without what only notifications needs. Raises WrongSettings."""
    return load_settings(mail_settings(), all_settings())


@cache
def mail_settings() -> type[Settings]:
    return create_model("MailSettings", __base__=Settings, smtp=(SmtpSettings, SmtpSettings()))


@cache
def system_settings(databases: tuple[str, ...] = (), base: type[Settings] = Settings) -> type[Settings]:
    """The shared settings, with the address of each service, and of the database of some. `base`: further ones."""
    addresses: dict[str, Any] = dict.fromkeys(SERVICES, (ServiceAddress, ServiceAddress()))
    addresses |= dict.fromkeys(READERS, (ReaderAddress, ReaderAddress()))
    addresses |= dict.fromkeys(databases, (ServiceAndDatabase, ...))
    return create_model("SystemSettings", __base__=base, **addresses)


def not_read() -> list[str]:
    """The names of variables that look like settings, and are none of this build."""
    return unread(all_settings(), OF_THE_STACK)


@cache
def all_settings() -> type[Settings]:
    """All processes' settings in one class."""
    kind: type[Settings] = new_class("AllSettings", tuple(settings_of(name) for name in reversed(PROCESSES)))
    return kind
