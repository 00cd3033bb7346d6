"""What must hold of the status records of emails and webhook deliveries when a run has come to rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.trial import Trial
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.status_record import last_record
from shared.contracts.envelope import encode
from shared.contracts.notifications import MessageStatusRecord

RULE = "messages_told"


def messages_told(trial: Trial, found: Findings) -> Iterator[Broken]:
    """The latest record of each order is that of the row, and says what has arrived, is lost or is in doubt, as
    notifications has it."""
    told: dict[str, Mapping[str, Any]] = {}
    for record, envelope in trial.world.read:
        if envelope.type == MessageStatusRecord.type:
            says = orjson.loads(record.value or b"")
            # The bus may repeat a record behind a later one, as readers know.
            if says["revision"] >= told.get(envelope.subject, says)["revision"]:
                told[envelope.subject] = says
    for key, log in found.of(NotificationLog).items():
        yield from ((RULE, key, text) for text in _wrong(log, told.get(key)))


def _wrong(log: NotificationLog, told: Mapping[str, Any] | None) -> Iterator[str]:
    ended = [one.id for one in log.messages if one.state != "pending" or one.wrong_since]
    latest = last_record(log)
    if latest is None or told is None:
        if latest or told or ended:
            yield "its emails and webhook deliveries have no record on the status topic"
        return
    now = orjson.loads(encode(latest))
    if told["revision"] != now["revision"]:
        yield f"the last record of its emails is revision {told['revision']}, the row has {now['revision']}"
    elif not log.pending():
        names = sorted(name for name in {*told, *now} if told.get(name) != now.get(name))
        yield from (f"{name} of its emails differs between the row and the status topic" for name in names)
    else:
        known, are = _by_id(told), _by_id(now)
        yield from (f"the last record does not say how {id} is" for id in ended if known.get(id) != are[id])


def _by_id(record: Mapping[str, Any]) -> Mapping[str, tuple[str, bool]]:
    """State, and whether it is in doubt."""
    messages = (*record.get("emails", ()), *record.get("webhooks", ()))
    return {one["message"]: (one["state"], one.get("in_doubt", False)) for one in messages}
