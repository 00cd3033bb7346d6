"""Changes of a store's settings: all of them at once, or some. Each is kept in the store's history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.checkout.domain.store import ID, Store, stores
from services.checkout.domain.store_settings import (
    CARD,
    DEFAULTS,
    KEPT_IN,
    Values,
    given,
    problems_of,
    sender_problems,
    status_record,
    store_with,
    told,
    values_of,
)
from shared.contracts.store_settings import ChangeStore
from shared.contracts.stores import ConfigureStore
from shared.core import Change, Context, Decision, Problem, Record, Refused, Report
from shared.core.fast_dataclasses import replace


class SettingsChange(Record):
    """A row of a store's history. Key: the store's id."""

    key: str
    id: UUID
    at: datetime
    actor: str
    reason: str
    changes: Sequence[Mapping[str, Any]]
    """`setting`, `before` and `after`; `before` is None where it was not set, or the store is new."""


class StoreUntold(Report):
    """The status topic lacks the store's latest settings: a worker of an older build changed them, or the database was
    restored."""


class StoreChange(Change[Store]):
    """A store that is new or changed gets one revision more, and its status record."""

    def decision(self) -> Decision[Store]:
        self.set(revision=self.context.revised(self.state.revision), updated_at=self.context.at)
        self.publish(status_record(self.state))
        return super().decision()


STAYS = ("data.keep_abandoned", "data.keep_orders")
"""What a command without them leaves as it is: senders of before do not know them."""


@stores.begins(ConfigureStore)
def configured(store: Store | None, command: ConfigureStore, context: Context) -> Decision[Store] | Refused:
    """All settings that the command has. A store's others stay as they are."""
    names = {name: field.removeprefix(CARD) for name, field in KEPT_IN.items()}
    replaced = {name: getattr(command, field) for name, field in names.items() if field in ConfigureStore.model_fields}
    replaced = {name: value for name, value in replaced.items() if value is not None or name not in STAYS}
    values = (values_of(store) if store else dict(DEFAULTS)) | replaced
    problems = [*_key_problems(context.key), *_by_field(problems_of(values))]
    return _invalid(problems) if problems else _changed(store, values, "", context)


def _by_field(problems: Iterable[Problem]) -> list[Problem]:
    """With the names that the command has: `payment_tries`."""
    return [problem.model_copy(update={"field": _field(problem.field)}) for problem in problems]


def _field(setting: str) -> str:
    for name, field in KEPT_IN.items():
        if (setting + ".").startswith(name + ".") and field.removeprefix(CARD) in ConfigureStore.model_fields:
            return field.removeprefix(CARD) + setting.removeprefix(name)
    return setting


@stores.begins(ChangeStore)
def changed(store: Store | None, command: ChangeStore, context: Context) -> Decision[Store] | Refused:
    new, problems = given(command.settings), _key_problems(context.key)
    values = values_of(store) if store else dict(DEFAULTS)
    for index, name in enumerate(command.reset):
        if name in DEFAULTS:
            values[name] = DEFAULTS[name]
            continue
        text = f"{name} has no default." if name in KEPT_IN else f"There is no setting {name}."
        problems.append(Problem(field=f"reset.{index}", code="no_default", text=text))
    values |= {name: _merged(name, values.get(name), value) for name, value in new.items()}
    missing = [name for name in KEPT_IN if name not in values]
    if store is None and len(missing) == len(KEPT_IN) - len(DEFAULTS):
        return Refused("unknown_store", f"There is no store {context.key}. A new one needs {', '.join(missing)}.")
    problems += [Problem(field=name, code="missing", text="A new store needs it.") for name in missing]
    problems += sender_problems(new["words.sender"]) if "words.sender" in new else ()
    problems += problems_of(values)
    return _invalid(problems) if problems else _changed(store, values, command.reason, context)


def _merged(name: str, before: Any, after: Any) -> Any:
    """Entries by name are added to those that are there; an empty one takes its entry away. An empty text is none,
    where none is the default."""
    if isinstance(after, dict):
        return {name: value for name, value in {**(before or {}), **after}.items() if value} or None
    return None if after == "" and DEFAULTS.get(name, after) is None else after


def _key_problems(key: str) -> list[Problem]:
    text = "The key is not a valid store id."
    return [] if ID.fullmatch(key) else [Problem(field="", code="bad_store_id", text=text)]


def _invalid(problems: Sequence[Problem]) -> Refused:
    return Refused("invalid_store", "The store's settings are invalid.", problems)


def _changed(store: Store | None, values: Values, reason: str, context: Context) -> Decision[Store]:
    latest = store_with(context.key, values)
    if store is not None:
        latest = replace(latest, revision=store.revision, updated_at=store.updated_at)
    if latest == store:
        return Decision(store)
    before, after = told(store) if store else {}, told(latest)
    change = StoreChange(latest, context)
    changes = [
        {"setting": name, "before": before.get(name), "after": value}
        for name, value in after.items()
        if before.get(name) != value
    ]
    change.record(
        SettingsChange(
            key=context.key, id=context.new_id(), at=context.at, actor=context.actor, reason=reason, changes=changes
        )
    )
    return change.decision()


@stores.on(StoreUntold)
def told_again(store: Store, report: StoreUntold, context: Context) -> Decision[Store]:
    return StoreChange(store, context).decision()
