"""Settings of programs that work with several services: the command line, the check, the demo."""

from __future__ import annotations

from functools import cache
from types import new_class
from typing import Any, Literal

from pydantic import ConfigDict, create_model

from services.registry import SERVICES, settings_of
from shared.settings import DatabaseUrl, ServiceSettings, Settings, WrongSettings, load_settings, name_of


class ServiceAddress(ServiceSettings):
    """The addresses of a service and its database. Other settings, such as secrets, are for workers."""

    model_config = ConfigDict(extra="ignore")
    database_url: DatabaseUrl | Literal[""] = ""
    """Most commands speak HTTP only, so it is missed only where a database is read: `database_of`."""


def load_system_settings() -> Settings:
    """The shared settings, and where each service is. Raises WrongSettings."""
    return load_settings(system_settings())


def database_of(settings: Settings, name: str) -> str:
    """Where a service's database is. Raises WrongSettings."""
    url = settings.service(name).database_url
    if not url:
        raise WrongSettings(f"{name_of((name, 'database_url'))}: is missing (this command reads that database)")
    return url


def load_all_settings() -> Settings:
    """Everything that the workers of all services need: an instance of each service's class. Raises WrongSettings."""
    return load_settings(all_settings())


@cache
def system_settings() -> type[Settings]:
    """The shared settings, with the address of each service."""
    addresses: dict[str, Any] = dict.fromkeys(SERVICES, (ServiceAddress, ServiceAddress()))
    return create_model("SystemSettings", __base__=Settings, **addresses)


@cache
def all_settings() -> type[Settings]:
    """All services' settings in one class."""
    kind: type[Settings] = new_class("AllSettings", tuple(settings_of(name) for name in reversed(SERVICES)))
    return kind
