"""Views of lists that staff save: what is shown, in which order, in which columns. One row each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.staff import RemoveView, SaveView, ViewRemoved, ViewSaved
from shared.core import Context, Core, Decision, Refused


@dataclass(frozen=True, slots=True)
class SavedView:
    """Key: `<store>/<view>`."""

    owner: str
    """The actor who saved it first."""
    name: str
    list: str
    saved_at: datetime
    filters: tuple[str, ...] = ()
    search: str = ""
    period: str = ""
    sort: str = ""
    columns: tuple[str, ...] = ()
    shared: bool = False


saved_views = Core(SavedView, missing=Refused("unknown_view", "The store has no such saved view."))


def view_key(store: str, view: str) -> str:
    return f"{store}/{view}"


def store_of(key: str) -> str:
    return key.partition("/")[0]


@saved_views.begins(SaveView)
def save(view: SavedView | None, command: SaveView, context: Context) -> Decision[SavedView] | Refused:
    store, _, id = context.key.partition("/")
    if not store or not id or "/" in id:
        return Refused("wrong_key", "The key must be <store>/<view>.")
    if view is not None and not is_seen_by(view, context.actor):
        return not_yours()
    new = SavedView(
        owner=view.owner if view else context.actor,
        name=command.name,
        list=command.list,
        saved_at=context.at,
        filters=command.filters,
        search=command.search,
        period=command.period,
        sort=command.sort,
        columns=command.columns,
        shared=command.shared,
    )
    return Decision(new, [ViewSaved(name=new.name, list=new.list, shared=new.shared)])


@saved_views.on(RemoveView)
def remove(view: SavedView, command: RemoveView, context: Context) -> Decision[SavedView] | Refused:
    if not is_seen_by(view, context.actor):
        return not_yours()
    return Decision(None, [ViewRemoved(name=view.name)])


def is_seen_by(view: SavedView, actor: str) -> bool:
    return view.shared or view.owner == actor


def not_yours() -> Refused:
    return Refused("not_yours", "This id is that of another person's private view: take another.")
