"""What must hold for every decision of every core."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.core import codec
from shared.core.decision import Decision, Record, Ref, Timer
from shared.core.messages import Command, Event
from shared.core.operation import Operation


@dataclass(frozen=True, slots=True)
class Step:
    """One message and what was decided."""

    ref: Ref[Any]
    """The row that the message is about."""
    before: Any
    """Its state; None: there was none."""
    message: object
    decision: Decision[Any]
    locked: frozenset[Ref[Any]]
    at: datetime


def check_decision(step: Step) -> None:
    """Raises AssertionError: what is stored or sent survives JSON, nothing is of the wrong kind, no state is dropped,
    and only locked rows change."""
    decision, name = step.decision, type(step.message).__qualname__
    assert decision.state is not None or step.before is None, f"{name} dropped the state of {step.ref}"
    unlocked = decision.other_states.keys() - step.locked
    assert not unlocked, f"{name} changed {unlocked}, which its handler does not lock"
    for state in (decision.state, *decision.other_states.values()):
        if state is not None and state is not step.before:
            check_json(state)
    for timer in decision.timers:
        _check_kind(timer, Timer)
        check_json(timer.message)
    for operation in decision.operations:
        _check_kind(operation, Operation)
        check_json(operation)
    for event in decision.events:
        _check_kind(event, Event)
        _check_message(event)
    for _, command in decision.commands:
        _check_kind(command, Command)
        _check_message(command)
    for record in decision.records:
        _check_kind(record, Record)


def check_json(value: Any) -> None:
    """Raises AssertionError where a value is another one after it was stored."""
    _check_same(value, lambda: codec.load(type(value), codec.dump(value)))


def _check_message(message: Event | Command) -> None:
    _check_same(message, lambda: type(message).model_validate_json(message.model_dump_json(exclude_none=True)))


def _check_same(value: Any, through_json: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pydantic only warns of what it writes against the types
        try:
            after = through_json()
        except (ValueError, UserWarning, codec.WrongType) as error:
            raise AssertionError(f"{value!r} does not survive JSON: {error}") from error
    assert after == value, f"{value!r} is {after!r} after JSON"


def _check_kind(value: object, kind: type[Any]) -> None:
    assert isinstance(value, kind), f"{value!r} is no {kind.__name__}"
