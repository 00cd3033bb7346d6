"""What follows from a gateway's answers, for every sequence of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core import (
    FailedOutcome,
    NoOutcome,
    NotDone,
    NotTried,
    Operation,
    OperatorFault,
    Outcome,
    Retry,
    Unknown,
    UnresolvedOutcome,
    derived_id,
)
from shared.core.fast_dataclasses import replace
from shared.shell.operations import rules
from shared.shell.operations.rules import Ended, Find, Perform, Waits
from shared.shell.ports.rows import OperationRow

START = datetime(2026, 3, 3, tzinfo=UTC)


class Done(Outcome): ...


class Failed(FailedOutcome): ...


class Unresolved(UnresolvedOutcome): ...


def kind(*, records_checked_for: timedelta = timedelta(0), **settings: Any) -> Operation:
    """An operation of a kind of its own."""
    outcomes = {"Done": Done, "Failed": Failed, "Unresolved": Unresolved}

    def records_checked_until(self: Operation, wanted: datetime) -> datetime | None:
        deadline = self.deadline(wanted)
        return deadline + records_checked_for if deadline else None

    members = {
        "give_up_after": timedelta(hours=1),
        "records_checked_until": records_checked_until,
        **settings,
        **outcomes,
    }
    made: type[Operation] = type("Made", (Operation,), members)
    return made()


def new_row(operation: Operation, **more: Any) -> OperationRow:
    identity = derived_id(UUID(int=1), 1, START)
    return OperationRow(identity, "o-1", "Made", b"{}", b"[]", START, START, "outside", occurred=START, **more)


@dataclass
class Outside:
    """The outside system, as it really is: what it did, and what it answers. It never lies in its books."""

    answers: list[Any]
    done: int = 0
    calls: int = 0
    said: list[Any] = field(default_factory=list)
    in_doubt: bool = False
    """A call got no answer, and the books have said nothing since."""

    def next(self) -> Any:
        return self.answers.pop(0) if self.answers else "retry"

    def perform(self) -> Any:
        answer: Any
        match self.next():
            case "done":
                self.done, answer = self.done + 1, Done()
            case "lost":  # carried out, and its answer is lost
                self.done, answer = self.done + 1, Unknown("no answer")
            case "lost before":
                answer = Unknown("no answer")
            case "not tried":
                return self.say(NotTried("paused"))
            case "fault":
                return self.say(OperatorFault("the key has expired"))
            case _:
                answer = Retry("busy")
        self.calls += 1
        self.in_doubt = self.in_doubt or isinstance(answer, Unknown)
        return self.say(answer)

    def find(self) -> Any:
        match self.next():
            case "not tried":
                return self.say(NotTried("paused"))
            case "fault":
                return self.say(OperatorFault("the key has expired"))
            case "lost" | "lost before":
                answer: Any = Unknown("no answer")
            case "retry":
                answer = Retry("busy")
            case _:
                answer = Done() if self.done else NotDone()
                self.in_doubt = False
        self.calls += 1
        return self.say(answer)

    def say(self, answer: Any) -> Any:
        self.said.append(answer)
        return answer


def lives(
    operation: Operation, outside: Outside, crashes: list[bool], *, tries: int = 60
) -> tuple[Outcome | None, OperationRow, datetime]:
    """The engine's loop over time, with crashes in the middle of calls. Returns the outcome (None: it still waits)."""
    row, rng = new_row(operation, lease=1), random.Random(1)
    now = START
    for number in range(tries):
        now = max(now + timedelta(microseconds=1), row.due)
        row = replace(row, lease=row.lease + 1)
        step: rules.Step = rules.first_step(row, operation, now)
        crashed = False
        while isinstance(step, Perform | Find):
            begun = step.row
            if isinstance(step, Find):
                step = rules.after_find(begun, operation, outside.find(), now, rng, last=step.last)
                continue
            if not operation.safe_to_repeat:
                row = replace(begun, attempts=begun.attempts + 1, in_doubt=True)  # as it is committed
            answer = outside.perform()
            if number < len(crashes) and crashes[number]:
                crashed = True
                break
            step = rules.after_perform(begun, operation, answer, now, rng)
        if crashed:
            row = replace(row, abandoned=True, due=now + timedelta(seconds=90))
        elif isinstance(step, Ended):
            return step.outcome, step.row, now
        elif isinstance(step, Waits):
            row = step.row
    return None, row, now


TROUBLE = ("lost", "lost before", "retry", "retry", "retry", "not tried", "fault")
ANSWERS = st.lists(st.sampled_from(TROUBLE), max_size=12) | st.lists(
    st.sampled_from([*TROUBLE, "done", "books"]), max_size=40
)
KINDS = st.fixed_dictionaries(
    {
        "safe_to_repeat": st.booleans(),
        "key_lifetime": st.sampled_from([None, timedelta(minutes=10)]),
        "deadline_is_strict": st.booleans(),
        "give_up_after": st.sampled_from([None, timedelta(minutes=1), timedelta(hours=1)]),
        "first_retry": st.sampled_from([1.0, 60.0]),
        "records_checked_for": st.sampled_from([timedelta(0), timedelta(minutes=5)]),
    }
)


@settings(max_examples=400)
@given(KINDS, ANSWERS, st.lists(st.booleans(), max_size=10))
def test_failed_is_only_said_where_nothing_was_carried_out(
    made: dict[str, Any], answers: list[str], crashes: list[bool]
) -> None:
    outside = Outside(list(answers))
    outcome, _, now = lives(kind(**made), outside, crashes)

    if isinstance(outcome, Failed):
        assert outside.done == 0, "told as failed though it was carried out"
        assert outcome.code in ("gave_up", "not_tried")
        assert "expired" not in outcome.text and "paused" not in outcome.text, "what the operator must fix"
    if isinstance(outcome, Failed | Unresolved):
        assert made["give_up_after"] is not None, "refunds are never given up"
        assert now >= START + made["give_up_after"], "not before its time"
    if isinstance(outcome, Failed | Unresolved) and not made["deadline_is_strict"]:
        assert outside.calls > 0, "not without a real try"
    if isinstance(outcome, Done):
        assert outside.done > 0
    if not made["safe_to_repeat"]:
        assert outside.done <= 1, "done twice"


@given(KINDS, ANSWERS)
def test_the_count_is_that_of_the_calls(made: dict[str, Any], answers: list[str]) -> None:
    outside = Outside(list(answers))
    outcome, row, _ = lives(kind(**made), outside, [])
    silent = (NotTried, OperatorFault)
    real = [answer for answer in outside.said if not isinstance(answer, silent)]
    assert len(real) >= row.attempts, "NotTried and OperatorFault are no calls"
    if outcome is None:
        counted = [answer for answer in real if not isinstance(answer, NotDone)]
        assert row.attempts == len(counted)
        assert len(rules.failed_calls(row)) == min(row.attempts, rules.KEPT)


@given(KINDS, ANSWERS)
def test_only_the_books_end_being_in_doubt(made: dict[str, Any], answers: list[str]) -> None:
    outside = Outside(list(answers))
    outcome, row, _ = lives(kind(**made), outside, [])
    if outcome is not None:
        return
    assert row.in_doubt == outside.in_doubt


class TestGivingUp:
    OVER = START + timedelta(hours=1)
    RNG = random.Random(1)

    def test_a_retry_at_the_deadline_is_the_last_try(self) -> None:
        operation = kind()
        step = rules.after_perform(new_row(operation, attempts=4), operation, Retry("busy"), self.OVER, self.RNG)
        assert isinstance(step, Ended)
        assert step.outcome == Failed("gave_up", "given up after 5 attempts: busy")

    def test_in_doubt_the_books_are_asked_first(self) -> None:
        operation = kind(safe_to_repeat=True)
        row = new_row(operation, attempts=4, in_doubt=True)
        step = rules.after_perform(row, operation, Retry("busy"), self.OVER, self.RNG)
        assert isinstance(step, Find) and step.last
        for answer, outcome in (
            (NotDone(), Failed("gave_up", "given up after 5 attempts: busy")),
            (Done(), Done()),
            (Unknown("no answer"), Unresolved("no answer")),
            (Retry("HTTP 500"), Unresolved("HTTP 500")),
        ):
            ended = rules.after_find(step.row, operation, answer, self.OVER, self.RNG, last=True)
            assert isinstance(ended, Ended) and ended.outcome == outcome
        for not_asked in (NotTried("paused"), OperatorFault("wrong key")):
            waits = rules.after_find(step.row, operation, not_asked, self.OVER, self.RNG, last=True)
            assert isinstance(waits, Waits) and waits.row.in_doubt

    def test_what_could_not_be_tried_in_time_gets_its_try_later(self) -> None:
        operation = kind()
        late = self.OVER + timedelta(days=2)
        assert isinstance(rules.first_step(new_row(operation), operation, late), Perform)

    @pytest.mark.parametrize(
        ("attempts", "code"), [(0, "not_tried"), (3, "gave_up")], ids=["never tried", "tried before"]
    )
    def test_after_a_strict_deadline_no_call_is_begun(self, attempts: int, code: str) -> None:
        operation = kind(deadline_is_strict=True)
        step = rules.first_step(new_row(operation, attempts=attempts), operation, self.OVER)
        assert isinstance(step, Ended) and isinstance(step.outcome, Failed)
        assert step.outcome.code == code
        uncertain = rules.first_step(new_row(operation, attempts=1, in_doubt=True), operation, self.OVER)
        assert isinstance(uncertain, Find) and uncertain.last
        waits = rules.after_find(uncertain.row, operation, NotTried("paused"), self.OVER, self.RNG, last=True)
        assert isinstance(waits, Ended) and waits.outcome == Unresolved("paused")

    @pytest.mark.parametrize(
        "answer", [Unknown("no answer"), Retry("busy"), NotTried("paused"), OperatorFault("wrong key")]
    )
    def test_books_that_do_not_answer_are_asked_again_for_a_while(self, answer: NoOutcome) -> None:
        operation = kind(deadline_is_strict=True, records_checked_for=timedelta(minutes=30))
        row, now, looks = new_row(operation, attempts=1, in_doubt=True), self.OVER, 0
        step: rules.Step = rules.first_step(row, operation, now)
        while isinstance(step, Find):
            assert step.last
            looks += 1
            step = rules.after_find(step.row, operation, answer, now, self.RNG, last=True)
            if isinstance(step, Ended):
                break
            assert isinstance(step, Waits) and step.row.in_doubt and step.row.due > now
            row, now = replace(step.row, lease=step.row.lease + 1), step.row.due
            step = rules.first_step(row, operation, now)
        assert isinstance(step, Ended) and isinstance(step.outcome, Unresolved)
        assert now >= self.OVER + timedelta(minutes=30) and looks > 3

        step = rules.after_find(row, operation, NotDone(), self.OVER, self.RNG, last=True)
        assert isinstance(step, Ended) and isinstance(step.outcome, Failed)

    def test_without_a_deadline_it_is_tried_for_ever(self) -> None:
        operation = kind(give_up_after=None, longest_retry=3600.0)
        row, now = new_row(operation, in_doubt=True, attempts=900), START + timedelta(days=300)
        step = rules.after_find(row, operation, Unknown("no answer"), now, self.RNG, last=False)
        assert isinstance(step, Waits)
        assert timedelta(minutes=30) <= step.row.due - now <= timedelta(hours=1)


class TestKeys:
    RNG = random.Random(1)

    def test_a_key_that_has_expired_is_looked_for_first(self) -> None:
        operation = kind(safe_to_repeat=True, key_lifetime=timedelta(minutes=10))
        row = new_row(operation)
        assert isinstance(rules.first_step(row, operation, START + timedelta(minutes=9)), Perform)
        assert isinstance(rules.first_step(row, operation, START + timedelta(minutes=10)), Find)

    def test_a_repeated_decision_has_the_age_of_the_message_that_caused_it(self) -> None:
        """The provider may have done it under the same key long ago."""
        operation = kind(safe_to_repeat=True, key_lifetime=timedelta(hours=24))
        again = START + timedelta(hours=30)
        row = replace(new_row(operation), requested_at=again, due=again)
        assert isinstance(rules.first_step(row, operation, again), Find)


def test_texts_of_the_outside_are_made_storable() -> None:
    operation = kind()
    step = rules.after_perform(new_row(operation), operation, Retry("a\x00b\ud800" * 999), START, random.Random(1))
    assert isinstance(step, Waits)
    assert len(step.row.error) <= 500 and "\x00" not in step.row.error
    step.row.error.encode()
    assert rules.failed_calls(step.row)[0].error == step.row.error
