"""What messages are: topics, events, commands, refusals. The messages themselves are in `shared/contracts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from shared.core.descriptions import describe


@dataclass(frozen=True, slots=True)
class Topic:
    """A Kafka topic: its name, who owns (writes) it, and whether it is compacted to the latest record of a key."""

    name: str
    owner: str
    compacted: bool = False
    description: str = ""
    coalesced: bool = False
    """Of a compacted one: of a key's records of one batch, only the last is published."""


class Message(BaseModel):
    """Base of messages. Subclasses set type and topic: `class OrderPaid(Event, type="order.paid", topic=ORDERS)`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True, json_schema_extra=describe)

    type: ClassVar[str] = ""
    topic: ClassVar[Topic]
    version: ClassVar[int] = 1

    def __init_subclass__(cls, *, type: str = "", topic: Topic | None = None, version: int = 1, **config: Any) -> None:
        super().__init_subclass__(**config)
        if type and topic:
            cls.type, cls.topic, cls.version = type, topic, version
            if (type, version) in MESSAGES:
                raise TypeError(f"{type} version {version} is declared twice")
            MESSAGES[type, version] = cls

    @classmethod
    def schema_id(cls) -> str:
        return f"urn:orderbus:{cls.type}:{cls.version}"


class Event(Message):
    """A fact, in the past tense. Readers ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", defer_build=True)

    def earlier(self) -> Event:
        """The same fact in the version before, for readers that do not know this one yet. A service publishes both
        while its `emits` lists both."""
        raise NotImplementedError


class Command(Message):
    """A request, imperative: it may be refused. Unknown fields are an error that names them."""

    def also_needs(self) -> tuple[str, ...]:
        """Permissions besides its own type, for what it brings about elsewhere. Asked of who sends it over HTTP."""
        return ()


MESSAGES: dict[tuple[str, int], type[Message]] = {}
"""Every published message by wire type and version. Importing `shared.contracts` fills it."""


class Problem(BaseModel):
    """One thing that is wrong with a command or a checkout."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    field: str
    """A path such as `items.0.quantity`, or empty for the whole message."""
    code: str
    """Machine-readable, stable: `unknown_sku`."""
    text: str
    """For people to read."""


class Refusal(Event):
    """A command was refused and changed nothing. Lists every problem at once."""

    command: str
    """The wire type of the refused command."""
    command_id: str
    """The refused command's message id (`ce_id`)."""
    code: str
    """Why, machine-readable and stable: see docs/errors.md."""
    text: str
    """Why, for people to read."""
    problems: tuple[Problem, ...] = ()
    """Everything that is wrong, each with its field and code."""


class Attempt(BaseModel):
    """One attempt of a call to an outside system that did not succeed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", use_attribute_docstrings=True)

    at: AwareDatetime
    """When it was made."""
    error: Annotated[str, StringConstraints(max_length=2000)]
    """What to fix, for staff."""
