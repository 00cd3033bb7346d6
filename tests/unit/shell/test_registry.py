"""A service whose declaration does not fit together does not start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.core import Core, Decision, Event, Message, Operation, Outcome
from shared.shell.service.registry import HandlerRegistry
from tests.unit.shell.harness import Harness
from tests.unit.shell.meter import (
    COMMANDS,
    EVENTS,
    LATEST,
    NOTICES,
    Call,
    Count,
    Counted,
    FakeGateway,
    Latest,
    Meter,
    MeterRefused,
    Newest,
    Noticed,
    meter_service,
)

SERVICE = meter_service({}, FakeGateway())


def nothing(meter: Any, *rest: Any) -> Decision[Any]:
    return Decision(meter)


def test_topics_and_handlers_that_fit() -> None:
    registry = HandlerRegistry(SERVICE)
    assert registry.emitted == frozenset[type[Message]]({Count, Counted, Latest, MeterRefused, Newest})
    assert registry.topics == {"meter.commands.v1", "other.events.v1"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"consumes": {COMMANDS: [Count]}}, "handles Noticed, but does not consume it"),
        ({"consumes": {COMMANDS: [Count], NOTICES: [Noticed], LATEST: [Latest]}}, "consumes Latest, which no core"),
        (
            {"consumes": {COMMANDS: [Count, Noticed]}},
            "lists Noticed under meter.commands.v1, but it is on other.events",
        ),
        ({"emits": {EVENTS: [Latest]}}, "lists Latest under meter.events.v1, but it is on meter.latest.v1"),
        ({"emits": {NOTICES: [Noticed]}}, "emits Noticed, but other.events.v1 belongs to other"),
    ],
)
def test_topics_that_do_not_fit(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=f"meter {problem}"):
        HandlerRegistry(replace(SERVICE, **changes))


def test_every_outcome_of_an_operation_is_handled() -> None:
    core = Core(Meter)
    core.answers(Call.Done, Call.Unresolved)(nothing)
    with pytest.raises(TypeError, match=r"meter does not handle Call\.Failed"):
        HandlerRegistry(replace(SERVICE, cores=[core], gateways={Call: FakeGateway()}, consumes={}))


def test_an_outcome_of_its_own_kind_is_handled_too() -> None:
    class Chime(Operation):
        class Done(Outcome): ...

        class Silenced(Outcome): ...

    core = Core(Meter)
    core.answers(Chime.Done, Chime.Failed, Chime.Unresolved)(nothing)
    with pytest.raises(TypeError, match=r"does not handle .*Chime\.Silenced"):
        HandlerRegistry(replace(SERVICE, cores=[core], gateways={Chime: FakeGateway()}, consumes={}))


def test_an_operation_can_be_done() -> None:
    class Nothing(Operation): ...

    with pytest.raises(TypeError, match="declares no outcome Done"):
        HandlerRegistry(replace(SERVICE, gateways={Nothing: FakeGateway()}))


def test_every_operation_has_a_gateway() -> None:
    gateways = {kind: gateway for kind, gateway in SERVICE.gateways.items() if kind is not Call}
    with pytest.raises(TypeError, match=r"handles Call\.Done, but has no gateway"):
        HandlerRegistry(replace(SERVICE, gateways=gateways))


@pytest.mark.parametrize("what", ["events", "commands"])
async def test_a_decision_emits_only_what_the_service_lists(harness: Harness, what: str) -> None:
    class Unlisted(Event, type=f"meter.unlisted_{what}", topic=EVENTS): ...

    told: Any = [Unlisted()] if what == "events" else [("t-2", Unlisted())]
    harness.when("loud", Decision(Meter(1), **{what: told}))
    done = await harness.counts("t-1", "loud")

    assert "Unlisted is not among what meter emits" in done.parked[0].error
    assert harness.meter("t-1") is None and harness.events() == []
