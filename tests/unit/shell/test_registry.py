"""A service whose declaration does not fit together does not start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.core import Core, Decision, Event, Message, Operation, Outcome
from shared.shell.service.registry import HandlerRegistry
from tests.unit.shell.tally import (
    COMMANDS,
    EVENTS,
    LATEST,
    STRUCK,
    Bell,
    Count,
    Counted,
    Latest,
    Ring,
    Struck,
    Tally,
    TallyRefused,
    tally_service,
)
from tests.unit.shell.world import World

SERVICE = tally_service({}, Bell())


def nothing(tally: Any, *rest: Any) -> Decision[Any]:
    return Decision(tally)


def test_topics_and_handlers_that_fit() -> None:
    registry = HandlerRegistry(SERVICE)
    assert registry.emitted == frozenset[type[Message]]({Count, Counted, Latest, TallyRefused})
    assert registry.topics == {"tally.commands.v1", "bell.events.v1"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"consumes": {COMMANDS: [Count]}}, "handles Struck, but does not consume it"),
        ({"consumes": {COMMANDS: [Count], STRUCK: [Struck], LATEST: [Latest]}}, "consumes Latest, which no core"),
        ({"consumes": {COMMANDS: [Count, Struck]}}, "lists Struck under tally.commands.v1, but it is on bell.events"),
        ({"emits": {EVENTS: [Latest]}}, "lists Latest under tally.events.v1, but it is on tally.latest.v1"),
        ({"emits": {STRUCK: [Struck]}}, "emits Struck, but bell.events.v1 belongs to bell"),
    ],
)
def test_topics_that_do_not_fit(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(TypeError, match=f"tally {problem}"):
        HandlerRegistry(replace(SERVICE, **changes))


def test_every_outcome_of_an_operation_is_handled() -> None:
    core = Core(Tally)
    core.answers(Ring.Done, Ring.Unresolved)(nothing)
    with pytest.raises(TypeError, match=r"tally does not handle Ring\.Failed"):
        HandlerRegistry(replace(SERVICE, cores=[core], gateways={Ring: Bell()}, consumes={}))


def test_an_outcome_of_its_own_kind_is_handled_too() -> None:
    class Chime(Operation):
        class Done(Outcome): ...

        class Silenced(Outcome): ...

    core = Core(Tally)
    core.answers(Chime.Done, Chime.Failed, Chime.Unresolved)(nothing)
    with pytest.raises(TypeError, match=r"does not handle .*Chime\.Silenced"):
        HandlerRegistry(replace(SERVICE, cores=[core], gateways={Chime: Bell()}, consumes={}))


def test_an_operation_can_be_done() -> None:
    class Nothing(Operation): ...

    with pytest.raises(TypeError, match="declares no outcome Done"):
        HandlerRegistry(replace(SERVICE, gateways={Nothing: Bell()}))


def test_every_operation_has_a_gateway() -> None:
    gateways = {kind: gateway for kind, gateway in SERVICE.gateways.items() if kind is not Ring}
    with pytest.raises(TypeError, match=r"handles Ring\.\w+, but has no gateway"):
        HandlerRegistry(replace(SERVICE, gateways=gateways))


@pytest.mark.parametrize("what", ["events", "commands"])
async def test_a_decision_emits_only_what_the_service_lists(world: World, what: str) -> None:
    class Unlisted(Event, type=f"tally.unlisted_{what}", topic=EVENTS): ...

    told: Any = [Unlisted()] if what == "events" else [("t-2", Unlisted())]
    world.when("loud", Decision(Tally(1), **{what: told}))
    done = await world.counts("t-1", "loud")

    assert "Unlisted is not among what tally emits" in done.parked[0].error
    assert world.tally("t-1") is None and world.events() == []
