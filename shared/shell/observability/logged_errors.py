"""Errors as they are logged. Their text may hold what they were about: parameters of statements, rows, addresses, input
that is not valid. Of libraries whose errors do, only the type and where it was raised are logged, and a database's
state.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import structlog

from shared.shell.inbound.errors import holds_data, without_data


def hide_data(logger: Any, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor, before what renders `exc_info`."""
    given = event.get("exc_info")
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if given is True:
        error = sys.exception()
    if error is not None:
        shown = logged(error)
        event["exc_info"] = (type(shown), shown, shown.__traceback__)
    return event


def logged(error: BaseException, within: bool = False, known: dict[int, BaseException] | None = None) -> BaseException:
    """An error that looks like this one, with its traceback and its causes, and holds no data. `within`: it is the
    cause of one that does."""
    known = {} if known is None else known
    if id(error) in known:
        return known[id(error)]
    hidden = within or holds_data(error)
    shown = _named_like(error, without_data(error) if hidden else str(error))
    known[id(error)] = shown
    shown.__traceback__ = error.__traceback__
    for name in ("__cause__", "__context__"):
        if (other := getattr(error, name)) is not None:
            setattr(shown, name, logged(other, hidden, known))
    shown.__suppress_context__ = error.__suppress_context__
    if isinstance(error, BaseExceptionGroup):
        inner = [logged(one, hidden, known) for one in error.exceptions]
        group = BaseExceptionGroup(error.message, inner)
        group.__traceback__, group.__cause__ = shown.__traceback__, shown.__cause__
        return group
    return shown


def _named_like(error: BaseException, text: str) -> BaseException:
    kind = type(error)
    same = type(kind.__name__, (Exception,), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})
    made = same(text)
    assert isinstance(made, BaseException)
    return made


def log_uncaught(log: Callable[..., None]) -> None:
    """What ends this process is logged like all else, not printed as Python does."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log("ended by an error", error=kind.__name__, exc_info=(kind, error, trace))

    sys.excepthook = hook
