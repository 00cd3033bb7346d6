"""Calls to the outside: requested by cores, performed by gateways.

`engine.py` leases operations and delivers their outcomes, `attempts.py` makes the calls, `rules.py` says what follows
from each answer (pure). `destinations.py` says which outside systems are called now, by pauses and `circuit.py`;
`budget.py` how much a worker takes on; `grouped.py` makes one statement of the writes of many calls.
"""

from shared.shell.operations.engine import NEVER, Operations

__all__ = ["NEVER", "Operations"]
