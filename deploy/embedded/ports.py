"""Free ports on the loopback interface."""

import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(names: Iterable[str], before: dict[str, int] | None = None) -> dict[str, int]:
    """A port for each name: the one it had before where that is still free, else any free one."""
    before = before or {}
    chosen: dict[str, int] = {}
    held: list[socket.socket] = []  # kept open while choosing, so that no port is chosen twice
    try:
        for name in names:
            if name in before and before[name] not in chosen.values() and is_free(before[name]):
                chosen[name] = before[name]
                continue
            probe = socket.socket()
            held.append(probe)
            probe.bind((LOOPBACK, 0))
            chosen[name] = probe.getsockname()[1]
    finally:
        for probe in held:
            probe.close()
    return chosen
