"""Free ports on the loopback interface."""

import random
import socket
from collections.abc import Iterable, Mapping

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections: one of those could take ours while the stack is down."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(names: Iterable[str], before: Mapping[str, int] | None = None) -> dict[str, int]:
    """A port for each name: the one it had before where that is still free, else any free one."""
    chosen: dict[str, int] = {}
    candidates = iter(random.sample(RANGE, len(RANGE)))
    for name in names:
        port = (before or {}).get(name)
        while port is None or port in chosen.values() or not is_free(port):
            port = next(candidates)
        chosen[name] = port
    return chosen
