"""Calls to the outside: wanted by cores, performed by gateways.

`rules.py` says what follows from each answer (pure), `engine.py` leases and calls, `grouped.py` makes the writes of
many calls one.
"""

from shared.shell.operations.engine import LONG_AGO, NEVER, Operations

__all__ = ["LONG_AGO", "NEVER", "Operations"]
