"""What must hold of the status records of stores when a run has come to rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.trial import Trial
from services.checkout.domain.store import Store
from services.checkout.domain.store_settings import last_record
from services.notifications.domain.endpoint import Endpoints
from shared.contracts.envelope import encode
from shared.contracts.store_status import StoreStatusRecord

RULE = "stores_told"


def stores_told(trial: Trial, found: Findings) -> Iterator[Broken]:
    """The latest record of each store is that of its row, and notifications knows every store."""
    told: dict[str, Mapping[str, Any]] = {}
    for record, envelope in trial.world.read:
        if envelope.type == StoreStatusRecord.type:
            says = orjson.loads(record.value or b"")
            if says["revision"] >= told.get(envelope.subject, says)["revision"]:
                told[envelope.subject] = says
    endpoints = found.of(Endpoints)
    for key, store in found.of(Store).items():
        latest = last_record(store)
        if latest is None or told.get(key) != orjson.loads(encode(latest)):
            yield RULE, key, "its record on the status topic is not that of the row"
        if key not in endpoints or not endpoints[key].known:
            yield RULE, key, "notifications does not know it"
