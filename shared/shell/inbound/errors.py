"""Errors and other texts of unknown origin, made safe for logs, text columns and readers."""

from __future__ import annotations

from pydantic import ValidationError

from shared.contracts.envelope import problems_of

LONGEST = 2000


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
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_qualname}, line {trace.tb_lineno})" if trace else ""
    return f"{type(error).__name__}: {error}"[:1900] + where
