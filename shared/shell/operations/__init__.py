"""Calls to the outside: wanted by cores, performed by gateways.

`rules.py` says what follows from each answer (pure), `engine.py` leases and calls, `grouped.py` makes the writes of
many calls one. `destinations.py` says which outside systems are called right now, by pauses and `circuit.py`;
`waiting.py` shows what waits.
"""

from shared.shell.operations.engine import NEVER, Operations

__all__ = ["NEVER", "Operations"]
