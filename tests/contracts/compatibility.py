"""Full compatibility of a message's schema with the shape that was first published.

Readers written for any earlier shape of the same version can read what is sent now, and today's readers can read what
was sent then. New values of an event's enumeration are allowed: upgrade the readers first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def broken(published: Json, now: Json) -> list[str]:
    """The incompatible changes, one sentence each, by path."""
    return list(_broken(_resolved(published, published), _resolved(now, now), "body"))


def _resolved(schema: Any, whole: Json) -> Any:
    """Without references (messages are not recursive)."""
    if isinstance(schema, list):
        return [_resolved(part, whole) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _resolved(whole["$defs"][name] | {k: v for k, v in schema.items() if k != "$ref"}, whole)
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    return {k: _resolved(v, whole) for k, v in schema.items() if k not in ("$defs", "discriminator")}


def _broken(then: Any, now: Any, path: str) -> Iterator[str]:
    for group in ("anyOf", "oneOf"):
        if group in then:
            yield from _alternatives(then[group], now.get("anyOf", now.get("oneOf", [now])), path)
            return
    if "anyOf" in now or "oneOf" in now:
        widened = now.get("anyOf", now.get("oneOf", []))
        if all(list(_broken(then, option, path)) for option in widened):
            yield f"{path}: no alternative accepts what was published"
        return
    if then.get("type") != now.get("type"):
        yield f"{path}: was {then.get('type')}, is {now.get('type')}"
        return
    yield from _narrowed(then, now, path)
    yield from _fields(then, now, path)
    for part in ("items", "additionalProperties"):
        if isinstance(then.get(part), dict) and isinstance(now.get(part), dict):
            yield from _broken(then[part], now[part], f"{path}.*")


def _alternatives(then: list[Any], now: list[Any], path: str) -> Iterator[str]:
    for option in then:
        problems = [list(_broken(option, candidate, path)) for candidate in now]
        if all(problems):
            yield from min(problems, key=len)


def _narrowed(then: Json, now: Json, path: str) -> Iterator[str]:
    allowed: list[Any] = then.get("enum", [])
    gone = set(allowed) - set(now.get("enum", allowed))
    if gone:
        yield f"{path}: {sorted(gone)} is no longer allowed"
    if "enum" in now and "enum" not in then:
        yield f"{path}: only {now['enum']} is allowed now"
    if now.get("pattern") not in (None, then.get("pattern")):
        yield f"{path}: the pattern changed"
    for bound in _LOWER:
        if bound in now and now[bound] > then.get(bound, float("-inf")):
            yield f"{path}: {bound} is stricter"
    for bound in _UPPER:
        if bound in now and now[bound] < then.get(bound, float("inf")):
            yield f"{path}: {bound} is stricter"


def _fields(then: Json, now: Json, path: str) -> Iterator[str]:
    before, after = then.get("properties", {}), now.get("properties", {})
    for name in sorted(before.keys() - after.keys()):
        yield f"{path}.{name}: the field is gone"
    for name in sorted(set(now.get("required", ())) - set(then.get("required", ()))):
        yield f"{path}.{name}: the field is required now"
    for name in sorted((set(then.get("required", ())) & after.keys()) - set(now.get("required", ()))):
        yield f"{path}.{name}: the field was always there and may be missing now"
    for name in sorted(before.keys() & after.keys()):
        yield from _broken(before[name], after[name], f"{path}.{name}")
