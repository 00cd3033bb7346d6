"""Systems that give access by HTTP actions, and roles on a Discord server; and what must be true of them at rest."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

from deploy.simulation.fault_profile import FaultProfile
from deploy.simulation.history import History
from deploy.simulation.outside import Outside, Reply
from services.fulfillment.domain.delivery import Delivery, Item, ItemStatus
from services.fulfillment.domain.kinds import discord_role
from services.fulfillment.domain.kinds.discord_role import GiveRole, RemoveRole
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from shared.contracts.discord import DiscordRole
from shared.contracts.http_action import HttpAction
from shared.core import NotTried, Outcome

Role = tuple[str, str, str]
"""Connection, role and member."""


class School(Outside):
    """Takes HTTP actions: each order has access of its own. It remembers calls by their key."""

    name = "school"

    def __init__(self, profile: FaultProfile, history: History, rng: random.Random) -> None:
        super().__init__(profile, history, rng)
        self.access: dict[tuple[str, str], bool] = {}
        self._answers: dict[str, Outcome] = {}

    def do(self, operation: CallHttpAction | RevokeHttpAction, key: str) -> Reply:
        if key in self._answers:
            return self._answers[key]
        if self.profile.happens(self.profile.level.provider_busy):
            return type(operation).Failed("rejected", "it rejects the customer")
        self.access[operation.order, operation.item] = isinstance(operation, CallHttpAction)
        return self._answers.setdefault(key, type(operation).Done())


class DiscordServer(Outside):
    """Who has which role. It remembers no calls: each is harmless when it is repeated."""

    name = "discord"

    def __init__(
        self,
        profile: FaultProfile,
        history: History,
        rng: random.Random,
        item: Callable[[str, str], Item | None],
    ) -> None:
        super().__init__(profile, history, rng)
        self.roles: set[Role] = set()
        self._item = item
        self._entered: defaultdict[Role, list[tuple[str, str]]] = defaultdict(list)

    def do(self, operation: GiveRole | RemoveRole, key: str) -> Reply:
        role = (operation.action.connection, operation.action.role, operation.member)
        if isinstance(operation, GiveRole):
            if (operation.order, operation.item) not in self._entered[role]:
                self._entered[role].append((operation.order, operation.item))
            if self.profile.happens(self.profile.level.provider_busy):
                return GiveRole.Failed("unknown_member", "the customer is not on the server")
            self.roles.add(role)
            return GiveRole.Done()
        found = [(order, self._item(order, item)) for order, item in self._entered[role]]
        giver = discord_role.other_giver(operation, [(order, item) for order, item in found if item])
        if giver is None:
            self.roles.discard(role)
            return RemoveRole.Done()
        if not giver.delivered:
            return NotTried("another order is about to give it", after=5.0)
        self.roles.add(role)
        return RemoveRole.Done(giver.order)


def _is_unclear(item: Item) -> bool:
    return item.in_doubt or item.status is ItemStatus.REVOCATION_FAILED


def wrong_grants(school: School, deliveries: Mapping[str, Delivery]) -> Iterator[tuple[str, str]]:
    """Orders, and what is wrong: of HTTP actions, each order has what it is said to have."""
    for key, delivery in deliveries.items():
        for item in delivery.items:
            if not isinstance(item.action, HttpAction) or _is_unclear(item):
                continue
            has, should = school.access.get((key, item.id), False), item.status is ItemStatus.DELIVERED
            if has != should:
                yield key, f"item {item.id} is {item.status}, but access by its HTTP action is {has}"


def wrong_roles(server: DiscordServer, deliveries: Mapping[str, Delivery]) -> Iterator[tuple[str, str]]:
    """Orders, and what is wrong: a member has a role as long as any order gives it."""
    items: defaultdict[Role, list[tuple[str, Item]]] = defaultdict(list)
    for key, delivery in deliveries.items():
        for item in delivery.items:
            if isinstance(item.action, DiscordRole):
                items[item.action.connection, item.action.role, item.action.member].append((key, item))
    for role, found in items.items():
        givers = [key for key, item in found if item.status is ItemStatus.DELIVERED]
        if givers and role not in server.roles:
            yield givers[0], f"{len(givers)} orders give role {role[1]}, but the member does not have it"
        if not givers and role in server.roles and not any(_is_unclear(item) for _, item in found):
            yield found[0][0], f"no order gives role {role[1]} any more, but the member has it"
