"""What happened in a run, line by line: the same seed gives the same lines, byte for byte."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby

STATUS_RECORDS = ("order.status ", "payment.status ", "delivery.status ", "message.status ")


class History:
    """Lines of (moment, who, key, text). `counts` are the faults that were injected, by kind."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.now = clock
        self._lines: list[tuple[datetime, str, str, str]] = []
        self.faults: Counter[str] = Counter()

    def add(self, who: str, key: str, text: str) -> None:
        self._lines.append((self.now(), who, key, text))

    def fault(self, kind: str, what: str = "") -> None:
        self.faults[kind] += 1
        self._lines.append((self.now(), "fault", "", f"{kind} {what}".rstrip()))

    def __len__(self) -> int:
        return len(self._lines)

    def digest(self) -> str:
        """A hash of every line."""
        whole = hashlib.sha256()
        for at, who, key, text in self._lines:
            whole.update(f"{at.isoformat()}\t{who}\t{key}\t{text}\n".encode())
        return whole.hexdigest()

    def lines(self) -> Iterator[str]:
        for at, who, key, text in self._lines:
            yield f"{at:%m-%d %H:%M:%S.%f} {who:<16} {key:<14} {text}"

    def story(self, key: str, most: int = 80) -> list[str]:
        """What happened to one order, in words, with the faults between: where that gets long, those that follow each
        other become one line, and then the middle is left out."""
        told: list[tuple[str, str, str]] = []
        for at, who, about, text in self._lines:
            if who == "bus" and text.startswith(STATUS_RECORDS):
                continue  # repeats what the event next to it says
            if about == key or (who == "fault" and told):
                told.append((f"{at:%m-%d %H:%M:%S.%f}", who, text))
        shown = told if len(told) <= most else list(_gathered(told))
        lines = [f"{at} {who:<16} {text}" for at, who, text in shown]
        return lines if len(lines) <= most else [*lines[: most // 2], "…", *lines[-most // 2 :]]


def _gathered(told: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Faults in a row as one line: how many of each kind, since when."""
    for fault, run in groupby(told, key=lambda line: line[1] == "fault"):
        lines = list(run)
        if fault and len(lines) > 1:
            kinds = Counter(text.split(" ", 1)[0] for _, _, text in lines)
            yield lines[0][0], "fault", ", ".join(f"{times} x {kind}" for kind, times in kinds.items())
        else:
            yield from lines
