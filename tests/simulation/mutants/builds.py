"""Mutants about builds that run side by side."""

from __future__ import annotations

from collections.abc import Iterator

from shared.core import codec
from shared.shell.batch.rows import LoadedRow
from shared.shell.inbound import records
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("an older build erases an unknown field")
def unknown_field_erased() -> Iterator[None]:
    """What the reader does not know is read past, and not written."""

    def load(self: LoadedRow, stored: bytes | str) -> None:
        self.state = codec.load(self.table.kind, stored)

    with instead(LoadedRow, "_load_carefully", load):
        yield


@mutant("an older build parks an unknown event")
def unknown_event_parked() -> Iterator[None]:
    class NoOther(Exception):
        """An unknown type is as bad as an invalid envelope."""

    with instead(records, "UnknownMessage", NoOther):
        yield
