"""Generates documents from the contracts: a JSON Schema per message (draft 2020-12) and one AsyncAPI 3.0 document."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from deploy.documents import webhooks
from deploy.documents.keys import example_key, key_of
from services.declared import declared
from shared.contracts import TOPICS, checkout, fulfillment, notifications, payments, published, staff, storefront
from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES
from shared.contracts.examples.order import OPENED
from shared.contracts.webhooks import WebhookBody
from shared.core import Command, Message, Topic
from shared.shell.service import Service

Json = dict[str, Any]
VERSION = "1.0.0"
"""The document's version: minor for a new message, major for a new version of a topic."""
STATUS_READERS: Mapping[str, tuple[Topic, ...]] = {
    "staff-tools": (
        checkout.STATUS,
        checkout.ORDERS,
        payments.STATUS,
        payments.EVENTS,
        fulfillment.STATUS,
        fulfillment.EVENTS,
        notifications.STATUS,
        notifications.EVENTS,
    ),
    "storefront": (checkout.ORDERS,),
}
"""What participants outside the services read."""
COMMANDERS: Mapping[Topic, str] = {storefront.CHECKOUTS: "storefront"} | {
    owner.COMMANDS: "staff-tools" for owner in (checkout, payments, fulfillment, notifications, staff)
}
"""Who outside the services writes to which topic."""

_ENVELOPE: Json = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka's binary mode, as record headers.",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "content-type": {"type": "string", "const": "application/json", "description": "The body is JSON."},
        "ce_specversion": {"type": "string", "const": "1.0", "description": "The version of CloudEvents."},
        "ce_id": {
            "type": "string",
            "format": "uuid",
            "description": "A UUID, the same if the message is sent again. Of version 7, or of version 8 where it "
            "tells no time: of what follows from a command over HTTP, for example. Its time may be any: "
            "the id is known for as long as the topics keep records and two days more, counted from when it was first "
            "read: repeat a command within that time only.",
        },
        "ce_source": {
            "type": "string",
            "description": "The service that sent it; `<service>/http` for its copy of what it accepted over HTTP.",
        },
        "ce_type": {"type": "string", "description": "The message's wire type."},
        "ce_subject": {"type": "string", "description": "What the message is about; equal to the record's key."},
        "ce_time": {
            "type": "string",
            "format": "date-time",
            "description": "When it happened (RFC 3339). Missing: the time in `ce_id`.",
        },
        "ce_dataschema": {"type": "string", "description": "`urn:orderbus:<type>:<version>`; version 1 if missing."},
        "ce_store": {"type": "string", "description": "The store's id."},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[0-9]{1,18}$",
            "description": "Counts the events of one subject from one source, within an epoch from 1 and without gaps. "
            "The first of epoch e has the number e * 1000000000 + 1, so that no number is given twice.",
        },
        "ce_correlationid": {
            "type": "string",
            "description": "The id of the message that started the chain of messages.",
        },
        "ce_causationid": {
            "type": "string",
            "description": "The id of the message that caused this one; of the copy of a command, the `id` of the 202.",
        },
        "ce_actor": {
            "type": "string",
            "description": "Who caused it.",
            "examples": ["customer", "staff:anna", "system", "provider:stripe"],
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
        "ce_versions": {
            "type": "string",
            "pattern": "^[0-9]+(,[0-9]+)+$",
            "description": "Only if one event is sent in several versions, under one id: which. Handle one of them.",
        },
        "ce_epoch": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,6}$",
            "description": "Only if the source's database was ever restored to an earlier point: how often.",
        },
    },
}


def file_name(kind: type[Message]) -> str:
    return f"{kind.type}.{kind.version}.json"


def json_schema(kind: type[Message]) -> Json:
    """The bodies that a reader accepts for this message."""
    schema = kind.model_json_schema(mode="validation")
    if not issubclass(kind, Command):
        schema = _open(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": kind.schema_id(),
        **schema,
        "examples": [_example(kind)],
    }


def document() -> Json:
    """The AsyncAPI 3.0 document."""
    kinds = published()
    shapes: list[type[BaseModel]] = [*kinds, WebhookBody]
    _, definitions = models_json_schema(
        [(shape, "validation") for shape in shapes], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "id": "urn:orderbus",
        "info": {
            "title": "orderbus",
            "version": VERSION,
            "description": (
                "The messages that carry an order from the checkout page to the customer's inbox. Events are facts: "
                "readers ignore unknown fields, also in parts that commands use. Commands are requests and may be "
                "refused: an unknown field is an error that names it, also in parts that events use. An incompatible "
                "change is published as a new version of the message."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Set by `ORDERBUS_KAFKA__BOOTSTRAP_SERVERS`.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "host:port of a broker"}},
            },
            "webhooks": webhooks.SERVER,
        },
        "channels": {channel_id(t.name): _channel(t) for t in TOPICS}
        | dict(_dead_letter_channels())
        | {webhooks.CHANNEL: webhooks.channel()},
        "operations": dict(_operations()) | {"notifications.posts.webhooks": webhooks.operation()},
        "components": {
            "schemas": _tolerant(_plain(definitions["$defs"]), kinds)
            | {"Envelope": _ENVELOPE, "WebhookHeaders": webhooks.HEADERS},
            "messages": {message_id(kind): _message(kind) for kind in kinds}
            | webhooks.messages()
            | {"dead-letter": _dead_letter()},
        },
    }


def channel_id(topic: str) -> str:
    return topic


def message_id(kind: type[Message]) -> str:
    return f"{kind.type}.{kind.version}"


def of_topic(topic: Topic) -> list[type[Message]]:
    return [kind for kind in published() if kind.topic is topic]


def _channel(topic: Topic) -> Json:
    cleanup = {"topicConfiguration": {"cleanup.policy": ["compact"]}} if topic.compacted else {}
    return {
        "address": topic.name,
        "title": topic.name,
        "description": topic.description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {message_id(k): {"$ref": f"#/components/messages/{message_id(k)}"} for k in of_topic(topic)},
        "bindings": {"kafka": {"topic": topic.name, **cleanup}},
    }


def _dead_letter_channels() -> Iterable[tuple[str, Json]]:
    for service in declared():
        name = f"{service}.dead-letter.v1"
        yield (
            channel_id(name),
            {
                "address": name,
                "title": name,
                "description": f"Copies of records that {service} could not read or handle and has parked.",
                "servers": [{"$ref": "#/servers/kafka"}],
                "messages": {"dead-letter": {"$ref": "#/components/messages/dead-letter"}},
                "bindings": {"kafka": {"topic": name}},
            },
        )


def _operations() -> Iterable[tuple[str, Json]]:
    for sender, topic, kinds in sent():
        summary = f"Messages that {sender} sends."
        yield f"{sender}.sends.{topic.name}", _operation("send", topic, kinds, summary)
    for reader, topic, kinds in received():
        summary = f"Messages that {reader} reads."
        yield f"{reader}.receives.{topic.name}", _operation("receive", topic, kinds, summary)
    for service in declared():
        name = f"{service}.dead-letter.v1"
        yield (
            f"{service}.sends.{name}",
            {
                "action": "send",
                "channel": {"$ref": f"#/channels/{channel_id(name)}"},
                "summary": f"Copies of records that {service} has parked.",
                "messages": [{"$ref": f"#/channels/{channel_id(name)}/messages/dead-letter"}],
            },
        )


Party = tuple[str, Topic, Collection[type[Message]]]
"""Who sends or reads some of a topic's messages."""


@cache
def sent() -> tuple[Party, ...]:
    return tuple(_sent())


@cache
def received() -> tuple[Party, ...]:
    return tuple(_received())


def _sent() -> Iterable[Party]:
    for topic in TOPICS:
        if topic in COMMANDERS:
            yield COMMANDERS[topic], topic, of_topic(topic)
        for name, service in declared().items():
            if kinds := emitted(service).get(topic):
                yield name, topic, kinds


def _received() -> Iterable[Party]:
    for name, service in declared().items():
        yield from ((name, topic, kinds) for topic, kinds in consumed(service).items())
    for reader, topics in STATUS_READERS.items():
        yield from ((reader, topic, of_topic(topic)) for topic in topics)


def consumed(service: Service) -> dict[Topic, list[type[Message]]]:
    """What a service reads, in the order of the types' names; into read models, all of a topic."""
    read = {topic: [kind for kind in of_topic(topic) if kind in kinds] for topic, kinds in service.consumes.items()}
    projected = service.projection.topics() if service.projection else ()
    return read | {topic: list(of_topic(topic)) for topic in projected}


def emitted(service: Service) -> dict[Topic, list[type[Message]]]:
    """What a service writes, its refusals of commands among it."""
    topics = [topic for topic in TOPICS if any(kind.topic is topic for kind in service.emitted)]
    return {topic: [kind for kind in of_topic(topic) if kind in service.emitted] for topic in topics}


def _operation(action: str, topic: Topic, kinds: Collection[type[Message]], summary: str) -> Json:
    channel = f"#/channels/{channel_id(topic.name)}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{message_id(kind)}"} for kind in kinds],
    }


def _message(kind: type[Message]) -> Json:
    return {
        "name": kind.type,
        "title": kind.__name__,
        "summary": (kind.__doc__ or "").strip().split(". ")[0].rstrip("."),
        "description": " ".join((kind.__doc__ or kind.__name__).split()),
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": "#/components/schemas/Envelope"}, _constant_headers(kind)]},
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"The subject: {key_of(kind)}."}}},
        "tags": [{"name": "command" if issubclass(kind, Command) else "event"}, {"name": kind.topic.owner}],
        "examples": [{"name": kind.type, "headers": _headers(kind), "payload": _example(kind)}],
    }


def _constant_headers(kind: type[Message]) -> Json:
    constants = {"ce_type": kind.type, "ce_dataschema": kind.schema_id()}
    return {"type": "object", "properties": {name: {"const": value} for name, value in constants.items()}}


def _headers(kind: type[Message]) -> Json:
    counted = not issubclass(kind, Command) and not kind.topic.compacted
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": "01980c61-1f00-7d3a-9c11-2f6b8e0a4d55",
        "ce_source": kind.topic.owner if not kind.topic.name.endswith(".commands.v1") else "staff",
        "ce_type": kind.type,
        "ce_subject": example_key(kind),
        "ce_time": OPENED.isoformat(),
        "ce_dataschema": kind.schema_id(),
    }
    return headers | ({"ce_sequence": "3"} if counted else {})


def _dead_letter() -> Json:
    origin = {"type": "string", "description": "Where the record was: `<topic>/<partition>/<offset>`."}
    error = {"type": "string", "description": "Why the record was parked."}
    cut = {
        "type": "string",
        "description": "If parts were left out, JSON about the whole record: `headers` (their number), "
        "`header_bytes`, `body_bytes`, `body_sha256`.",
    }
    return {
        "name": "dead-letter",
        "title": "DeadLetter",
        "summary": "A copy of the original record, shortened if it is larger than a topic accepts",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "properties": {"orderbus_origin": origin, "orderbus_error": error, "orderbus_cut": cut},
        },
        "payload": {"description": "The bytes of the record, shortened if necessary."},
    }


def _example(kind: type[Message]) -> Any:
    return json.loads(encode(EXAMPLES[kind]))


def _open(schema: Any) -> Any:
    """Without `additionalProperties: false`, since readers of events ignore unknown fields."""
    if isinstance(schema, dict):
        return {k: _open(v) for k, v in schema.items() if not (k == "additionalProperties" and v is False)}
    return [_open(part) for part in schema] if isinstance(schema, list) else schema


def _tolerant(schemas: Json, kinds: Iterable[type[Message]]) -> Json:
    """Open every schema that an event uses."""
    todo = [kind.__name__ for kind in kinds if not issubclass(kind, Command)]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [ref.rpartition("/")[2] for ref in _references(schemas[name])]
    return {name: _open(schema) if name in reached else schema for name, schema in schemas.items()}


def _references(schema: Any) -> Iterable[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _plain(schema: Any) -> Any:
    """In AsyncAPI's schema dialect, where `discriminator` is only the property's name."""
    if isinstance(schema, dict):
        plain = {name: _plain(value) for name, value in schema.items()}
        if isinstance(plain.get("discriminator"), dict):
            plain["discriminator"] = plain["discriminator"]["propertyName"]
        return plain
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema
