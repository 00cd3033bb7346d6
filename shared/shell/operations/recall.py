"""Operations of a restored database while its worker catches up: what was done in the time that it has forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from shared.contracts.envelope import BadMessage, decode
from shared.core import Operation, Outcome
from shared.core.fast_dataclasses import replace
from shared.shell.batch.own_log import OwnLog
from shared.shell.operations.rules import Ended
from shared.shell.ports.rows import OperationRow
from shared.shell.service import Recall, Service


class Recollection:
    """At other times than of catching up, nothing is recalled."""

    def __init__(self, service: Service, log: OwnLog | None) -> None:
        self._recalled, self._log = service.recalled, log

    @property
    def is_on(self) -> bool:
        return self._log is not None and self._log.is_open

    def ended(self, row: OperationRow, operation: Operation) -> Ended | None:
        """Where a fact on the service's topics says that it was done."""
        if self._log is None:
            return None
        for recall in self._recalled.get(type(operation), ()):
            for body in self._log.told(row.key, kind_of(recall.fact)):
                try:
                    outcome: Outcome | None = recall.outcome(operation, decode(recall.fact, body))
                except BadMessage:  # of a newer build
                    continue
                if outcome is not None:
                    return Ended(replace(row, attempts=row.attempts + 1), outcome)
        return None

    @staticmethod
    def perhaps_called(row: OperationRow, operation: Operation) -> OperationRow:
        """It may have been called already: past its deadline it is looked up before it is given up."""
        return replace(row, abandoned=True) if operation.safe_to_repeat else row


def recalled_kinds(service: Service) -> frozenset[str]:
    """The kinds of facts whose contents are needed (`OwnLog.kept`)."""
    return frozenset(kind_of(recall.fact) for recall in _recalls(service))


def recalled_topics(service: Service) -> frozenset[str]:
    """The topics of those facts."""
    return frozenset(recall.fact.topic.name for recall in _recalls(service))


def _recalls(service: Service) -> Iterator[Recall]:
    return chain.from_iterable(service.recalled.values())


def kind_of(fact: type) -> str:
    return f"{fact.type}/{fact.version}"  # type: ignore[attr-defined]
