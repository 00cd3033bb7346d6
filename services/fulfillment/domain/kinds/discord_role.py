"""Roles on a Discord server: given, and removed unless another delivered item gives the same one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.fields import FIELD_MISSING, fields_of, missing_text
from services.fulfillment.domain.kinds.access import HAS_ACCESS, AccessKind, NoCall, handle_outcomes
from shared.contracts.discord import SNOWFLAKE, DiscordRole
from shared.contracts.templates import MissingFields, fill
from shared.contracts.values import Instructions
from shared.core import Operation, Outcome


class RoleOperation(Operation, safe_to_repeat=True):
    """A call about one role of one member. To repeat it changes nothing."""

    store: str
    order: str
    item: str
    action: DiscordRole
    member: str

    def destination(self) -> str:
        """A bot may be allowed to give one role and not another."""
        return f"discord/{self.store}/{self.action.connection}/{self.action.role}"

    def about(self) -> str:
        return self.item


class GiveRole(RoleOperation, longest_retry=1800.0, give_up_after=timedelta(hours=24)):
    class Done(Outcome):
        pass


class RemoveRole(RoleOperation, longest_retry=3600.0, give_up_after=timedelta(days=3)):
    class Done(Outcome):
        kept_for: str = ""
        """The order for which the member keeps the role; empty where it was removed."""


class DiscordRoleKind(AccessKind[DiscordRole]):
    ended_by = (GiveRole, RemoveRole)
    configuration = DiscordRole
    granting = GiveRole
    revoking = RemoveRole

    def grant(self, change: DeliveryChange, item: Item, action: DiscordRole) -> GiveRole:
        return GiveRole(change.state.store, change.context.key, item.id, action, member_of(change, item, action))

    def revocation(self, change: DeliveryChange, item: Item, action: DiscordRole) -> RemoveRole:
        return RemoveRole(change.state.store, change.context.key, item.id, action, member_of(change, item, action))

    def is_same_call(self, one: DiscordRole, other: DiscordRole) -> bool:
        return (one.connection, one.role, one.member) == (other.connection, other.role, other.member)

    def is_same_access(self, one: DiscordRole, other: DiscordRole) -> bool:
        """Whatever connection gave it: Discord gives no id twice."""
        return (one.role, one.member) == (other.role, other.member)

    def instructions(self, action: DiscordRole) -> Instructions:
        return Instructions(kind="course" if action.enter else "manual", link=action.enter, note=action.note)

    def former_place(self, action: DiscordRole) -> str:
        return f"role {action.role} of connection {action.connection}"

    def kept_text(self, outcome: Outcome) -> str:
        kept_for = getattr(outcome, "kept_for", "")
        return f"The member keeps the role: order {kept_for} gives it as well." if kept_for else ""


DISCORD_ROLE = DiscordRoleKind()
handle_outcomes(DISCORD_ROLE)


def member_of(change: DeliveryChange, item: Item, action: DiscordRole) -> str:
    """Raises NoCall."""
    try:
        member = fill(action.member, fields_of(change.state, change.context.key, item), str).strip()
    except MissingFields as missing:
        raise NoCall(FIELD_MISSING, missing_text(missing)) from None
    if re.fullmatch(SNOWFLAKE, member) and member.isascii():
        return member
    raise NoCall(
        "no_discord_id",
        f"“{member[:40]}” is no id of a Discord user, which has 17 to 20 digits. Ask the customer for it (in Discord: "
        "Settings, Advanced, Developer Mode; then Copy User ID of the profile), give the role by hand, and settle the "
        "item as delivered.",
    )


@dataclass(frozen=True, slots=True)
class Giver:
    """Another execution that gives the role to the member, too."""

    order: str
    delivered: bool
    """Or else it is about to: then the removal waits for its outcome."""


def other_giver(removal: RemoveRole, entered: Iterable[tuple[str, Item]]) -> Giver | None:
    """The one for which the member keeps the role. `entered`: all that were ever to give it to them, and their
    orders."""
    own = (removal.order, removal.item)
    givers = [
        Giver(order, item.status is ItemStatus.DELIVERED)
        for order, item in entered
        if (order, item.id) != own and _gives(item, removal.action)
    ]
    return next((giver for giver in givers if giver.delivered), givers[0] if givers else None)


def _gives(item: Item, role: DiscordRole) -> bool:
    """By whatever connection: Discord gives no id twice."""
    given = item.action
    return isinstance(given, DiscordRole) and given.role == role.role and item.status in HAS_ACCESS
