"""What is shown of a part of the embedded stack that ended."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from deploy.devstack.children import Child


@pytest.mark.parametrize(
    ("said", "full"),
    [
        ('FATAL:  could not write to file "pg_wal/xlogtemp.7": No space left on device', True),
        ("FATAL:  the database system is shutting down", False),
    ],
)
def test_a_full_disk_is_named_even_when_there_is_room_again(tmp_path: Path, said: str, full: bool) -> None:
    log = tmp_path / "postgres.log"
    log.write_text(f"{said}\ndatabase system is shut down\n")
    words = Child("PostgreSQL", 1, log, signal.SIGINT).last_words()

    assert words.startswith(said)
    assert (f"The disk of {tmp_path} is full" in words) is full
