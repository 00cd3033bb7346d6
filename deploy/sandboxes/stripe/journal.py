"""The sandbox's memory: a file that is only appended to, one `write` per request.

A commit is a few lines and ends with a `C` line; lines without one at the end of the file (a kill in the middle of a
write) are cut off when it is opened. There is no fsync: what was acknowledged survives the end of the process,
SIGKILL included, not a power cut. Big texts (events, saved answers) stay in the file and are read again from there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """Where a line's payload lies in the file, in bytes."""

    offset: int
    length: int


class JournalInUseError(RuntimeError):
    """Another sandbox works on the same data folder: stop it, or give this one a folder of its own."""


class Journal:
    """Lines of one letter, a space and a payload without line breaks."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise JournalInUseError(
                f"{path} is in use by another Stripe sandbox; give this one its own --data"
            ) from None
        self._end = os.fstat(self._file).st_size

    def replay(self) -> Iterator[tuple[str, Place, bytes]]:
        """Every committed line from the first on; cuts off an unfinished tail. Read it to the end before appending."""
        pending: list[tuple[str, Place, bytes]] = []
        offset = committed = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                kind, payload = chr(line[0]), line[2:-1]
                pending.append((kind, Place(offset + 2, len(payload)), payload))
                offset += len(line)
                if kind == "C":
                    yield from pending
                    pending.clear()
                    committed = offset
        os.ftruncate(self._file, committed)
        self._end = committed

    def append(self, lines: Sequence[tuple[str, bytes]]) -> list[Place]:
        """Writes one commit. On an error of the disk nothing of it stays, and the caller must not apply it."""
        places, chunks, offset = [], [], self._end
        for kind, payload in lines:
            places.append(Place(offset + 2, len(payload)))
            chunks.append(b"%s %s\n" % (kind.encode(), payload))
            offset += len(payload) + 3
        data = b"".join(chunks)
        try:
            done = os.pwrite(self._file, data, self._end)
            while done < len(data):
                done += os.pwrite(self._file, data[done:], self._end + done)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise
        self._end = offset
        return places

    def read(self, place: Place) -> bytes:
        return os.pread(self._file, place.length, place.offset)

    def close(self) -> None:
        os.close(self._file)
