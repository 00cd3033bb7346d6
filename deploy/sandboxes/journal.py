"""An append-only file of JSON lines that finds its records again by their place in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """Survives being killed at any byte: a torn last line is cut off when the file is opened again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b", buffering=0)
        self._end = self._file.seek(0, 2)

    def replay(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every record with its place, oldest first."""
        place = 0
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            for line in reader:
                try:
                    record = orjson.loads(line)
                except orjson.JSONDecodeError:
                    break
                yield place, record
                place += len(line)
        if place < self._end:
            self._file.truncate(place)
            self._end = place

    def append(self, record: dict[str, Any]) -> int:
        """Returns the record's place."""
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        place = self._end
        self._file.write(line)
        self._end += len(line)
        return place

    def read(self, place: int) -> dict[str, Any]:
        self._file.seek(place)
        record: dict[str, Any] = orjson.loads(self._file.readline())
        return record

    def close(self) -> None:
        self._file.close()
