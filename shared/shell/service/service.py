"""What a service is: its cores, what it consumes and emits, its tables and gateways. `app.py` fills this in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.core import Core, Event, Message, Operation, Outcome, Ref, Refusal, Report, Topic
from shared.core.explanation import Explanation
from shared.core.projection import Projection
from shared.shell.ports.attention import AttentionReader
from shared.shell.ports.gateway import Gateway
from shared.shell.ports.http_api import Routes
from shared.shell.ports.tables import Storage, TableGauge


@dataclass(frozen=True)
class Invariants:
    """The invariants of the rows of one kind, for `orderbus check` and the simulation."""

    kind: type[Any]
    broken: Callable[..., Iterable[str]]
    """`broken(state, *others, at_rest=False, work=NO_WORK)`: the rules that a row breaks, in words. `at_rest`: no
    message of its key is in progress, and what is under way for it, in any service, is `work` only."""
    reads: Callable[[Any], Iterable[Ref[Any]]] | None = None
    """Other rows of the same service, given to `broken` after the state; None where there is no such row."""


@dataclass(frozen=True)
class Recall:
    """How the outcome of an operation is known from a fact that followed from it."""

    fact: type[Event]
    outcome: Callable[[Any, Any], Outcome | None]
    """From the operation and such a fact of its key; None where the fact is about another one."""


class OwnReport(NamedTuple):
    """What a service tells one of its own rows."""

    key: str
    report: Report
    identity: str
    """The same one again changes nothing."""


@dataclass(frozen=True)
class Service:
    """Everything that the shell needs in order to run a service."""

    name: str
    cores: Sequence[Core[Any]]
    consumes: Mapping[Topic, Collection[type[Message]]]
    """What it reads: the message types by topic."""
    emits: Mapping[Topic, Collection[type[Message]]]
    """What it writes, by topic, commands to other keys too."""
    refusal: type[Refusal]
    """What a refused command is answered with, on the service's own topic; need not be listed in `emits`."""
    storage: Storage
    projection: Projection | None = None
    """What it reads into read models; their tables are in `storage`. Its topics are none of `consumes`."""
    gateways: Mapping[type[Operation], Gateway] = field(default_factory=dict)
    routes: Routes | None = None
    kept: Callable[[Any], Event] | None = None
    """The message that a report by HTTP is kept as, in case the database is restored. One of `emits` and `consumes`."""
    identify: Callable[[str], Any] | None = None
    """The principal of a token that the service itself has signed, or None (`http/principals.py`)."""
    known: Callable[[str], Awaitable[Any]] | None = None
    """The principal of a token, or of a session's cookie, that the service has in its tables, or None."""
    gauges: Sequence[TableGauge] = ()
    invariants: Sequence[Invariants] = ()
    status_records: Mapping[type[Any], Callable[[Any], Event | None]] = field(default_factory=dict)
    """By kind of state: the record that a compacted topic has of one. After Kafka was lost, they are made again."""
    recalled: Mapping[type[Operation], Sequence[Recall]] = field(default_factory=dict)
    """Operations that must not be done again after a restore, although the outside would do them. Of several facts each
    is enough."""
    attention: Mapping[str, AttentionReader] = field(default_factory=dict)
    """What waits for staff in its own tables, by what it is in words."""
    explain: Callable[[AsyncConnection, str, datetime], Awaitable[Explanation | None]] | None = None
    """Why an order is where it is, by the service's own rules: of its id, at a time. None: it does not know it."""
    order_state: type[Any] | None = None
    """The state that it has of an order, whose table has the order's store."""
    upkeep: Sequence[Callable[[datetime], Awaitable[None]]] = ()
    """Done by each worker when it starts and every hour, with the time: what older builds do not keep in its tables."""
    own_reports: Sequence[Callable[[datetime], Awaitable[Sequence[OwnReport]]]] = ()
    """As `upkeep`, for what needs a decision: what each of them finds is handed to its core as a message."""
    tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    """Run by each worker until it stops, when they are cancelled. They end by no error: that would end the worker."""
    resources: Sequence[Callable[[], Awaitable[None]]] = ()
    """Closed when the service stops (HTTP sessions, SMTP connections)."""

    @property
    def emitted(self) -> frozenset[type[Message]]:
        """Every type of message that it writes."""
        return frozenset({self.refusal, *chain.from_iterable(self.emits.values())})
