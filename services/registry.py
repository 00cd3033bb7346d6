"""The names of all services, and of the processes that only read. To add a service, see CONTRIBUTING.md.

By convention the function `<name>_service` of `services/<name>/app.py` wires it, and the class `<Name>Settings` of
`services/<name>/settings.py` has its settings. Nothing of a service is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.settings import Settings
    from shared.shell.service import Service

SERVICES = ("checkout", "payments", "fulfillment", "notifications", "staff")
READERS = ("monitor",)
"""They only read topics and answer requests: no database, no messages of their own, nothing that could be lost. By
convention the function `run_<name>` of `services/<name>/app.py` runs one."""
PROCESSES = (*SERVICES, *READERS)


def factory_of(name: str) -> Callable[..., Service]:
    """The function that wires a service, given its settings and its database's engine."""
    factory: Callable[..., Service] = getattr(import_module(f"services.{name}.app"), f"{name}_service")
    return factory


def settings_of(name: str) -> type[Settings]:
    """The class of a process's settings: the shared ones, and its own."""
    kind: Any = getattr(import_module(f"services.{name}.settings"), f"{name.capitalize()}Settings")
    return kind  # type: ignore[no-any-return]


def reader_of(name: str) -> Callable[..., Coroutine[Any, Any, None]]:
    """The function that runs a reader until it is told to stop, given its settings, its number and its HTTP port."""
    run: Callable[..., Coroutine[Any, Any, None]] = getattr(import_module(f"services.{name}.app"), f"run_{name}")
    return run
