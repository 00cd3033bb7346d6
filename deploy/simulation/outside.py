"""The outside systems behind the services' gateway ports, with records of their own that survive every crash."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from deploy.simulation.outage import MARK, Circuit, Outage
from deploy.simulation.tasks import unowned
from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    CountCodes,
    GiveCodes,
    GrantAccess,
    ReturnCodes,
    RevokeAccess,
    StoreCodes,
    TakeCode,
)
from services.notifications.domain.endpoint import Endpoint
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import PostWebhook, SendEmail
from services.notifications.storage import storage as notifications_storage
from shared.core import NoOutcome, NotDone, NotTried, Operation, OperatorFault, Outcome, Retry, Unknown, codec
from shared.simulation.memory_store import MemoryStore

Reply = Outcome | NoOutcome
LATEST = 40.0
"""Seconds after which a request that was given up may still be carried out."""
STILL_ARRIVES = LATEST + 60.0
"""Seconds: a call may take its whole timeout before it is given up."""
TOO_EARLY = "too early to say: the request may still be on its way"


class Outside:
    """A gateway in front of one outside system: time passes, calls get lost before or after their effect, the system is
    down for longer, and after failures in a row the gateway makes no calls for a while."""

    name = ""
    """Its name in `FaultProfile.outages`; empty for what has none."""
    longest_pause = 1800.0
    """Seconds that its gateway makes no calls, at most."""

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        self.profile, self.history, self.rng = profile, history, rng
        self.waking: dict[object, float] = {}
        """Calls that have not come back, and when each goes on."""
        self.calls: dict[str, list[datetime]] = {}
        """When each key was really called, or looked for in the books."""
        self.ended: dict[str, datetime] = {}
        """When the last call of each key ended, with or without an answer."""
        self._asked_at: dict[str, float] = {}
        """When each key was last asked for, whatever the machines' clocks say."""
        self.shown: list[str] = []
        """Texts for operators that reached a customer."""
        self._late: set[asyncio.Task[None]] = set()
        self._circuits: dict[str, Circuit] = {}

    can_arrive_late = False
    """A request whose caller gave up may still be carried out: only where its key makes that harmless."""

    def place(self, operation: Any) -> str:
        """Which system it goes to: what has outages, and a circuit, of its own."""
        return self.name

    def circuit(self, place: str) -> Circuit:
        return self._circuits.setdefault(place, Circuit(self.longest_pause))

    async def perform(self, operation: Any, key: str) -> Reply:
        now, place = asyncio.get_running_loop().time(), self.place(operation)
        circuit = self.circuit(place)
        if wait := circuit.wait(now):
            return NotTried(f"calls to {place} are paused", after=wait)
        self._asked_at[key] = now
        self.calls.setdefault(key, []).append(self.history.now())
        call, well = object(), False
        try:
            answer = await self._performed(operation, key, call)
            well = not isinstance(answer, Unknown)
        finally:
            self.waking.pop(call, None)
            self.ended[key] = self.history.now()
            if well:
                circuit.succeeded()
            else:
                circuit.failed(asyncio.get_running_loop().time())
        return answer

    async def _sleep(self, call: object, seconds: float, timeout: float) -> None:
        self.waking[call] = asyncio.get_running_loop().time() + min(seconds, timeout)
        await asyncio.sleep(seconds)

    async def _performed(self, operation: Any, key: str, call: object) -> Reply:
        timeout = operation.timeout
        outage = self.profile.outages.get(self.place(operation))
        trouble = self.profile.provider()
        if outage:
            trouble = outage.kind
        if trouble == "answers_lost":  # now and then it says that it is overloaded
            trouble = "busy" if self.rng.random() < 0.2 else "lost_after"
        await self._sleep(call, self.rng.random() * 0.05, timeout)
        if refused := await self._not_done(operation, key, call, trouble, outage):
            return refused
        answer = self.do(operation, key)
        self.history.add(
            "outside", operation_key(operation), f"{type(operation).__qualname__} {told(answer)} {trouble}"
        )
        if trouble == "lost_after":
            return Unknown("no answer (carried out)")
        if trouble == "hangs_after":
            await self._sleep(call, timeout * 2, timeout)
        await self._sleep(call, self.rng.random() * 0.05, timeout)
        return answer

    async def _not_done(
        self, operation: Any, key: str, call: object, trouble: str, outage: Outage | None
    ) -> Reply | None:
        """What the caller gets where nothing is done (yet); None where it is."""
        timeout = operation.timeout
        match trouble:
            case "operator" if outage:
                return OperatorFault(outage.text)
            case "down":
                return Retry("no connection")
            case "busy":
                return Retry("busy", after=self.rng.choice((None, 0.1, 2.0)))
            case "raises":
                raise ConnectionError("a bug of the gateway")
            case "lost_before":
                return Unknown("no answer (never arrived)")
            case "silent" | "hangs_before":
                await self._sleep(call, timeout * 2, timeout)
            case "slow":
                await self._sleep(call, timeout * 0.85, timeout)
            case "late" if self.can_arrive_late:
                self._arrive_later(operation, key)
                return Unknown("no answer (still on its way)")
        return None

    def on_its_way(self, key: str) -> bool:
        """Whether an earlier request may still arrive: it cannot be said yet that it was not carried out."""
        asked = self._asked_at.get(key)
        now = asyncio.get_running_loop().time()
        return self.can_arrive_late and asked is not None and now - asked < STILL_ARRIVES

    def _arrive_later(self, operation: Operation, key: str) -> None:
        async def arrive() -> None:
            await asyncio.sleep(self.rng.random() * LATEST)
            answer = self.do(operation, key)
            text = f"{type(operation).__qualname__} {told(answer)} (arrived late)"
            self.history.add("outside", operation_key(operation), text)

        task = unowned(arrive)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def find(self, operation: Any, key: str) -> Outcome | NotDone | NoOutcome:
        """As for a system that is safe to ask again: the gateway knows that without a call."""
        return NotDone()

    async def look_up(self, key: str, on_record: Callable[[], Outcome | None]) -> Outcome | NotDone | NoOutcome:
        """A call that asks its books, for a gateway that can; it can be lost as any other."""
        now, circuit = asyncio.get_running_loop().time, self.circuit(self.name)
        if wait := circuit.wait(now()):
            return NotTried(f"calls to {self.name} are paused", after=wait)
        self.calls.setdefault(key, []).append(self.history.now())
        trouble, outage = self.profile.provider(), self.profile.outages.get(self.name)
        await asyncio.sleep(self.rng.random() * 0.05)
        self.ended[key] = self.history.now()
        if outage and outage.kind == "operator":
            circuit.succeeded()
            return OperatorFault(outage.text)
        if trouble or outage:
            circuit.failed(now())
            return Unknown("no answer to the question")
        circuit.succeeded()
        found = on_record()
        if found is None and self.on_its_way(key):
            return Unknown(TOO_EARLY)
        return found or NotDone()

    def do(self, operation: Any, key: str) -> Reply:
        """The effect, at once and whole."""
        raise NotImplementedError


def operation_key(operation: Any) -> str:
    return str(getattr(operation, "order", ""))


def told(answer: object) -> str:
    result = getattr(answer, "result", answer)
    parts = [f"{n}={getattr(result, n)}" for n in ("status", "code", "error", "reference") if getattr(result, n, "")]
    return f"→ {type(answer).__name__} {' '.join(parts)}".rstrip()


class CoursePlatform(Outside):
    """Who may enter what. Grants and revocations are remembered by their key."""

    name = "platform"

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        super().__init__(profile, history, rng)
        self.access: dict[tuple[str, str], bool] = {}
        self.effects: Counter[str] = Counter()
        self._answers: dict[str, Outcome] = {}

    def do(self, operation: GrantAccess | RevokeAccess, key: str) -> Reply:
        if key in self._answers:
            return self._answers[key]
        if self.profile.happens(self.profile.level.provider_busy):
            return type(operation).Failed("rejected", "it rejects the customer")
        self.effects[key] += 1
        self.access[operation.order, operation.item] = isinstance(operation, GrantAccess)
        return self._answers.setdefault(key, type(operation).Done())


class MailServer(Outside):
    """Every mail that it took, by Message-ID."""

    name = "mails"

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        super().__init__(profile, history, rng)
        self.taken: Counter[str] = Counter()
        self.given: dict[str, str] = {}
        """What customers' emails show, by Message-ID."""

    def do(self, operation: SendEmail, key: str) -> Reply:
        if self.profile.happens(self.profile.level.raises):
            return SendEmail.Failed("550", "no such mailbox")
        if operation.audience == "customer" and MARK in str(operation.data):
            self.shown.append(f"mail {operation.template} {operation.message_id}")
        self.taken[operation.message_id] += 1
        if operation.audience == "customer":
            self.given[operation.message_id] = str(operation.data)
        return SendEmail.Done()

    async def find(self, operation: SendEmail, key: str) -> Outcome:
        """A mail server has no books."""
        return SendEmail.Unresolved("the mail server was given the mail, and its answer never came")


class Receivers(Outside):
    """The stores' webhook endpoints: every event that they took, by `webhook-id`."""

    def __init__(
        self,
        profile: FaultProfile,
        history: History,
        rng: random.Random,
        endpoint: Callable[[str, str], Endpoint | None],
    ) -> None:
        super().__init__(profile, history, rng)
        self.taken: Counter[str] = Counter()
        self._endpoint = endpoint

    def place(self, operation: PostWebhook) -> str:
        return f"webhook:{operation.endpoint}"

    def do(self, operation: PostWebhook, key: str) -> Reply:
        known = self._endpoint(operation.store, operation.endpoint)
        if known is None:
            return PostWebhook.Failed("removed", "The endpoint was removed.")
        if known.paused:
            return PostWebhook.Failed("paused", "The endpoint is paused.")
        if self.profile.happens(self.profile.level.raises / 5):
            return PostWebhook.Failed("gone", "The endpoint answered 410 Gone; it was paused.")
        self.taken[operation.message_id] += 1
        return PostWebhook.Done(204)


LOW_WATER = 2


@dataclass
class Pool:
    codes: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    """Each code, and the order and item that took it."""

    def free(self) -> int:
        return sum(taken is None for taken in self.codes.values())


class CodePools(Outside):
    """Redemption codes. In production they are a table of fulfillment's: its statements are as atomic as this."""

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        super().__init__(profile, history, rng)
        self.pools: dict[str, Pool] = {}
        self._batches: dict[str, int] = {}

    def do(self, operation: TakeCode | ReturnCodes | StoreCodes | GiveCodes | CountCodes, key: str) -> Reply:
        pool = self.pools.setdefault(operation.pool, Pool())
        match operation:
            case GiveCodes():
                return self._give(pool, operation)
            case CountCodes():
                return CountCodes.Done(min(operation.most, pool.free()))
            case StoreCodes():
                new = [code for code in operation.codes if code not in pool.codes]
                pool.codes.update(dict.fromkeys(new))
                return StoreCodes.Done(self._batches.setdefault(key, len(new)), pool.free())
            case ReturnCodes():
                place = (operation.order, operation.item)
                pool.codes.update({code: None for code, taken in pool.codes.items() if taken == place})
                return ReturnCodes.Done()
        place = (operation.order, operation.item)
        mine = [code for code, taken in pool.codes.items() if taken == place]
        free = [code for code, taken in pool.codes.items() if taken is None][: operation.quantity]
        if not mine and len(free) < operation.quantity:
            return TakeCode.Failed(POOL_EMPTY, "too few codes are left", timedelta(seconds=30))
        pool.codes.update(dict.fromkeys(free if not mine else (), place))
        left = pool.free()
        return TakeCode.Done(tuple(mine or free), left if left < LOW_WATER else None)

    def _give(self, pool: Pool, give: GiveCodes) -> Reply:
        place = (give.order, give.item)
        store = give.pool.partition("/")[0] + "/"
        others = [other for key, other in self.pools.items() if key.startswith(store)]
        if any(other.codes.get(code) not in (None, place) for other in others for code in give.codes):
            return GiveCodes.Failed("already_given", "another item has it")
        if not give.keep:
            pool.codes.update({code: None for code, taken in pool.codes.items() if taken == place})
        for other in others:
            other.codes = {code: taken for code, taken in other.codes.items() if taken or code not in give.codes}
        pool.codes.update(dict.fromkeys(give.codes, place))
        return GiveCodes.Done()


class OtherSystem(Outside):
    """Systems without a class of their own here: they carry out whatever they are asked."""

    name = "other"

    def do(self, operation: Operation, key: str) -> Reply:
        return done(type(operation))


def done(kind: type[Operation]) -> Outcome:
    """Raises LookupError where the simulation would have to know more than that it was done."""
    try:
        outcome: Outcome = getattr(kind, "Done")()  # noqa: B009  # every operation declares its own
    except TypeError:
        raise LookupError(f"the simulation needs an outside system that performs {kind.__qualname__}") from None
    return outcome


class StoredLogs:
    """Which orders lost something, by notifications' own rows."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._table = next(table for table in notifications_storage.states if table.kind is NotificationLog)

    async def page(self, store: str, column: str, after: str, limit: int) -> list[tuple[str, NotificationLog]]:
        rows = sorted(self._store.states(self._table).items())
        lost = [(key, one) for key, one in rows if key > after and one.columns.get("store") == store]
        found = [(key, one.row.data) for key, one in lost if one.columns.get(column)]
        return [(key, codec.load(NotificationLog, data)) for key, data in found[:limit] if data is not None]
