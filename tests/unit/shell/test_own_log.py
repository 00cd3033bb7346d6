"""What of a service's own records is known again after a restore."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.envelope import Envelope
from shared.shell.batch.own_log import OwnLog, said_by
from tests.unit.shell.harness import START

RECORD = Envelope(
    id=UUID(int=7), type="message.status", source="notifications", subject="o-1", time=START, causation_id="9"
)
KEPT = frozenset({"message.status/1"})


def test_a_status_record_is_known_where_operations_are_recalled_by_it() -> None:
    said = said_by(RECORD, b"{}", KEPT, late=True)

    assert said and (said.number, said.cause) == (0, ""), "it is no effect that a refused command had"
    assert said_by(RECORD, b"{}", frozenset(), late=True) is None
    log = OwnLog(KEPT)
    log.open()
    log.add([said])
    assert log.told("o-1", "message.status/1") == [b"{}"]
    log.close()


def test_every_numbered_event_is_known() -> None:
    event = Envelope(
        id=UUID(int=7),
        type="email.failed",
        source="notifications",
        subject="o-1",
        time=START,
        sequence=3,
        causation_id="9",
    )
    said = said_by(event, b"{}", KEPT, late=False)
    assert said and (said.number, said.cause, said.late) == (3, "9", False)
