"""What happened in a run, line by line: the same seed gives the same lines, byte for byte."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime


class History:
    """Lines of (moment, who, key, text). `counts` are the faults that were injected, by kind."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lines: list[tuple[datetime, str, str, str]] = []
        self.faults: Counter[str] = Counter()

    def add(self, who: str, key: str, text: str) -> None:
        self._lines.append((self._clock(), who, key, text))

    def fault(self, kind: str, what: str = "") -> None:
        self.faults[kind] += 1
        self._lines.append((self._clock(), "fault", "", f"{kind} {what}".rstrip()))

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
        """What happened to one order, in words: the latest lines, with the faults between them."""
        told: list[str] = []
        for at, who, about, text in self._lines:
            if who == "bus" and text.startswith("order.status "):
                continue  # says again what the event beside it says
            if about == key or (who == "fault" and told):
                told.append(f"{at:%m-%d %H:%M:%S.%f} {who:<16} {text}")
        kept = [line for line in told if " fault " not in line] if len(told) > most else told
        return kept if len(kept) <= most else [*kept[: most // 2], "…", *kept[-most // 2 :]]
