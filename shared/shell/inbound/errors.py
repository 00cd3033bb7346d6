"""Errors and other texts of unknown origin, made safe for logs, text columns and readers."""

from __future__ import annotations

from pydantic import ValidationError

from shared.contracts.problems import problems_of

LONGEST = 2000
_LIBRARIES = ("aiosmtplib", "asyncpg", "httpx", "pydantic", "pydantic_core", "sqlalchemy", "stripe")
"""Their errors repeat what they were given."""


def printable(text: str, limit: int = LONGEST) -> str:
    """Not longer than `limit`; characters that cannot be shown or stored (NUL, control and format characters, parts
    of surrogate pairs) are replaced."""
    cut = text[:limit]
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)


def describe(error: Exception) -> str:
    """An error for staff: what and where, without the input that caused it."""
    try:
        return printable(_described(error))
    except Exception:
        return type(error).__name__


def _described(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problems = "; ".join(f"{p.field}: {p.text}" for p in problems_of(error)[:10])
        return f"{error.title}: {problems}"
    text = without_data(error) if holds_data(error) else str(error)
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno})" if trace else ""
    return f"{type(error).__name__}: {text}"[:1900] + where


def holds_data(error: BaseException) -> bool:
    """Whether its text may have data in it: parameters of a statement, a row, an address, invalid input."""
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__)


def without_data(error: BaseException) -> str:
    """What can be said of such an error: of a database's, its state and constraint."""
    cause = getattr(error, "orig", None) or error
    driver = getattr(cause, "__cause__", None) or cause
    state, constraint = (getattr(driver, name, None) for name in ("sqlstate", "constraint_name"))
    said = [f"state {state}"] if state else []
    said += [f"constraint {constraint}"] if constraint else []
    return f"({', '.join([*said, 'its text may hold data'])})"
