"""Stripe's request encoding, `metadata[order]=1&expand[]=latest_charge`, and its messages for what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import parse_qsl

from deploy.sandboxes.stripe.errors import StripeError, invalid

MOST_FIELDS, DEEPEST = 1000, 8
MOST_METADATA_KEYS, LONGEST_KEY, LONGEST_VALUE = 50, 40, 500


def decode(text: str) -> dict[str, object]:
    """Nested dicts of strings. `a[]=x` numbers itself, so that a list reads like `a[0]=x`."""
    tree: dict[str, object] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS):
        if "[" not in name:
            tree[name] = value
            continue
        *path, leaf = name.replace("]", "").split("[")
        if len(path) > DEEPEST:
            raise invalid("Invalid object: nested too deeply", param=path[0])
        node = tree
        for part in path:
            step = node.setdefault(part or str(len(node)), {})
            if not isinstance(step, dict):
                raise invalid("Invalid object", param=path[0])
            node = step
        node[leaf or str(len(node))] = value
    return tree


class Form:
    """Parameters of one request, or of one object inside them (`at` is its name in messages)."""

    __slots__ = ("at", "values")

    def __init__(self, values: dict[str, object], at: str = "") -> None:
        self.values = values
        self.at = at

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def name_of(self, name: str) -> str:
        return f"{self.at}[{name}]" if self.at else name

    def only(self, allowed: Collection[str]) -> None:
        for name in self.values:
            if name not in allowed:
                unknown = self.name_of(name)
                raise invalid(f"Received unknown parameter: {unknown}", unknown, "parameter_unknown")

    def text(self, name: str) -> str | None:
        """None when absent; Stripe reads an empty value as "unset"."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise invalid("Invalid string: {...}", self.name_of(name))
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            param = self.name_of(name)
            raise invalid(f"Missing required param: {param}.", param, "parameter_missing")
        return value

    def choice(self, name: str, allowed: Collection[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            options = ", ".join(allowed)
            raise invalid(f"Invalid {name}: must be one of {options}", self.name_of(name))
        return value

    def integer(self, name: str, least: int = 0) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        param = self.name_of(name)
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            raise invalid(f"Invalid integer: {value[:40]}", param, "parameter_invalid_integer")
        if int(value) < least:
            message = f"This value must be greater than or equal to {least}."
            raise invalid(message, param, "parameter_invalid_integer")
        return int(value)

    def flag(self, name: str) -> bool | None:
        value = self.choice(name, ("true", "false"))
        return None if value is None else value == "true"

    def inside(self, name: str) -> Form | None:
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            raise invalid("Invalid object", self.name_of(name))
        return Form(value, self.name_of(name))

    def list_of(self, name: str) -> tuple[str, ...]:
        items = self.inside(name)
        return tuple(items.required(index) for index in items) if items else ()

    def tree(self, name: str) -> dict[str, object] | None:
        """An object taken over as it is (addresses and the like)."""
        inner = self.inside(name)
        return inner.values if inner else None

    def metadata(self, now: dict[str, str] | None = None) -> dict[str, str]:
        """The merged metadata: an empty value unsets its key, `metadata=""` unsets all."""
        if self.values.get("metadata") == "":
            return {}
        given = self.inside("metadata")
        if given is None:
            return now or {}
        merged = dict(now or {})
        for key in given:
            value = given.text(key)
            _check_metadata(key, value or "")
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        if len(merged) > MOST_METADATA_KEYS:
            raise invalid(f"Metadata can only have {MOST_METADATA_KEYS} keys", "metadata")
        return merged


def _check_metadata(key: str, value: str) -> None:
    if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
        raise StripeError(
            400,
            f"Metadata keys have at most {LONGEST_KEY} characters and values at most {LONGEST_VALUE}; "
            f"yours have {len(key)} and {len(value)}.",
            param=f"metadata[{key[:LONGEST_KEY]}]",
        )
